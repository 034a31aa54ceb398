// Follows what a task writes, and shows the lines that hold a text.

// The page keeps so many letters of each output; the download has everything.
const KEPT = 1_000_000;

for (const log of document.querySelectorAll('pre[data-log]')) {
  let text = log.textContent;
  const find = log.closest('section').querySelector('input[type="search"]');

  const show = () => {
    const wanted = find.value.toLowerCase();
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    log.textContent = wanted ? text.split('\n').filter((line) => line.toLowerCase().includes(wanted)).join('\n') : text;
    if (atEnd) log.scrollTop = log.scrollHeight;
  };
  find.hidden = false;
  find.addEventListener('input', show);
  log.scrollTop = log.scrollHeight;

  if ('follow' in log.dataset) {
    let next = log.dataset.next;
    const open = () => {
      const heard = new EventSource(`${log.dataset.log}?from=${next}`);
      heard.addEventListener('message', (message) => {
        const piece = JSON.parse(message.data);
        next = piece.next;
        text = (text + piece.text).slice(-KEPT);
        show();
      });
      heard.addEventListener('end', () => heard.close());
      // Opened anew by ourselves: from where we are, not from where we began.
      heard.addEventListener('error', () => {
        heard.close();
        setTimeout(open, 3000);
      });
    };
    open();
  }
}
