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
    let heard;
    let again;
    const close = () => {
      clearTimeout(again);
      heard?.close();
    };
    const open = () => {
      close();
      const source = new EventSource(`${log.dataset.log}?from=${next}`);
      heard = source;
      source.addEventListener('message', (message) => {
        const piece = JSON.parse(message.data);
        next = piece.next;
        text = (text + piece.text).slice(-KEPT);
        show();
      });
      source.addEventListener('end', () => {
        close();
        document.removeEventListener('visibilitychange', turn);
      });
      // Opened anew by ourselves: from where we are, not from where we began.
      source.addEventListener('error', () => {
        close();
        again = setTimeout(open, 3000);
      });
    };
    // A browser has six connections to a host in HTTP/1.1, for all of its windows.
    const turn = () => (document.hidden ? close() : open());
    document.addEventListener('visibilitychange', turn);
    open();
  }
}
