// What pages do beyond what they say: filters that act by themselves, keys, a theme, commands to copy, and a word when
// the master is not heard any more. Everything works without.

const root = document.documentElement;
const theme = document.getElementById('theme');
const THEMES = ['', 'light', 'dark'];

function wear(name) {
  if (name) root.dataset.theme = name;
  else delete root.dataset.theme;
  if (theme) theme.textContent = `Theme: ${name || 'system'}`;
}
wear(localStorage.getItem('theme') ?? '');
if (theme) {
  theme.hidden = false;
  theme.addEventListener('click', () => {
    const next = THEMES[(THEMES.indexOf(root.dataset.theme ?? '') + 1) % THEMES.length];
    localStorage.setItem('theme', next);
    wear(next);
  });
}

// A filter acts once nothing was typed for a moment.
let typing;
document.addEventListener('input', (event) => {
  const form = event.target.closest?.('form[data-auto]');
  if (!form) return;
  clearTimeout(typing);
  typing = setTimeout(() => {
    sessionStorage.setItem('focus', event.target.id);
    form.requestSubmit();
  }, 400);
});
const focused = document.getElementById(sessionStorage.getItem('focus') ?? '');
sessionStorage.removeItem('focus');
if (focused) {
  focused.focus();
  focused.setSelectionRange(focused.value.length, focused.value.length);
}

// Keys: / finds, j and k go through the rows, [ and ] turn pages, g and a letter goes to a page.
const places = { c: '/', a: '/agents', r: '/roles', f: '/frameworks', o: '/offers', t: '/tasks', e: '/events' };
let going = false;
document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === 'Escape') {
    document.querySelectorAll('details.action[open]').forEach((open) => open.removeAttribute('open'));
    return document.activeElement?.blur();
  }
  if (event.target.closest('input, textarea, select')) return;
  if (going && places[event.key]) return location.assign(places[event.key]);
  going = event.key === 'g';
  if (event.key === '/') {
    document.getElementById('q')?.focus();
    event.preventDefault();
  } else if (event.key === 'j' || event.key === 'k') {
    const links = [...document.querySelectorAll('tbody td:first-child a')];
    const at = links.indexOf(document.activeElement);
    links[Math.max(0, Math.min(links.length - 1, at + (event.key === 'j' ? 1 : -1)))]?.focus();
  } else if (event.key === '[' || event.key === ']') {
    document.querySelector(`.pager a[rel="${event.key === '[' ? 'prev' : 'next'}"]`)?.click();
  }
});

// A command is copied by a click beside it. Where a page is no secure context there is no clipboard.
function offerCopies(within) {
  if (!navigator.clipboard) return;
  for (const command of within.querySelectorAll('code.command:not([data-copies])')) {
    command.dataset.copies = '';
    const text = command.textContent;
    const copy = Object.assign(document.createElement('button'), { type: 'button', className: 'copy', textContent: 'Copy' });
    copy.addEventListener('click', async () => {
      await navigator.clipboard.writeText(text);
      copy.textContent = 'Copied';
    });
    command.append(copy);
  }
}
offerCopies(document);
// A page that is rendered anew has none.
document.addEventListener('htmx:after:swap', () => offerCopies(document));

const stale = document.getElementById('stale');
document.addEventListener('htmx:sse:error', () => { stale.textContent = 'The master does not answer: this page may be old'; });
document.addEventListener('htmx:sse:after:connection', () => { stale.textContent = ''; });
// A connection that was refused at first is not tried again by itself, as one that broke is.
const lives = document.getElementById('lives');
for (const refused of ['htmx:response:error', 'htmx:error']) {
  lives?.addEventListener(refused, () => {
    stale.textContent = 'This page does not change by itself yet: the master took no further reader';
    setTimeout(() => htmx.trigger(lives, 'again'), 2_000);
  });
}

// Events, the latest on top.
const events = document.querySelector('[data-events]');
if (events) {
  const heard = new EventSource(events.dataset.events);
  heard.addEventListener('message', (message) => {
    const holder = document.createElement('template');
    holder.innerHTML = `<table><tbody>${message.data}</tbody></table>`;
    events.prepend(...holder.content.querySelectorAll('tr'));
    while (events.children.length > 500) events.lastElementChild.remove();
  });
  heard.addEventListener('error', () => { stale.textContent = 'Events may be missing here: they come again when the master answers'; });
  heard.addEventListener('open', () => { stale.textContent = ''; });
}

// A task may begin to run while its page is open.
async function plot() {
  if (document.querySelector('[data-usage]')) (await import('./plot.js')).plots();
}
document.addEventListener('htmx:after:swap', plot);
await plot();

if (document.querySelector('pre[data-log]')) await import('./log.js');
