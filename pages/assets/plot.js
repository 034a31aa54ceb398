// Plots how fast a task uses processors, each second while somebody looks at it.

const SAMPLES = 120;
const EVERY = 1000;
const [WIDTH, HEIGHT] = [240, 60];

function draw(name, attributes) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

/** Follows one task until it is over. */
function follow(plot) {
  const shown = plot.querySelector('.num');
  const svg = draw('svg', { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img' });
  const given = draw('line', { class: 'given', x1: 0, x2: WIDTH });
  const rate = draw('polyline', { class: 'rate' });
  svg.append(given, rate);
  plot.append(svg);
  const rates = [];
  let last;

  const show = (cpus) => {
    const most = Math.max(cpus, ...rates, 0.001) * 1.1;
    const y = (value) => (HEIGHT * (1 - value / most)).toFixed(1);
    given.setAttribute('y1', y(cpus));
    given.setAttribute('y2', y(cpus));
    const from = SAMPLES - rates.length;
    rate.setAttribute('points', rates.map((value, at) => `${((from + at) * WIDTH / (SAMPLES - 1)).toFixed(1)},${y(value)}`).join(' '));
    shown.textContent = `${rates.at(-1).toFixed(2)} of ${cpus} cpu`;
    svg.setAttribute('aria-label', `CPU rate over the last ${rates.length} seconds: ${shown.textContent} now`);
    plot.hidden = false;
  };
  // True when there is nothing more to come.
  const look = async () => {
    const answer = await fetch(plot.dataset.usage);
    if (!answer.ok) return answer.status === 404;
    const { usage, cpus, is_over: isOver } = await answer.json();
    if (isOver) return true;
    if (usage && last && usage.wall_seconds > last.wall_seconds) {
      rates.push((usage.cpu_seconds - last.cpu_seconds) / (usage.wall_seconds - last.wall_seconds));
      if (rates.length > SAMPLES) rates.shift();
      show(cpus);
    }
    last = usage;
    return false;
  };
  const again = async () => {
    if (!plot.isConnected) return;
    // A master that does not answer now is asked again.
    const isOver = document.hidden ? false : await look().catch(() => false);
    if (!isOver) setTimeout(again, EVERY);
  };
  again();
}

/** Follows what is on the page and is not followed yet. */
export function plots() {
  for (const plot of document.querySelectorAll('[data-usage]:not([data-followed])')) {
    plot.dataset.followed = '';
    follow(plot);
  }
}
