// Every page of a real cluster in headless Chromium: what a person and an assistive program see, with JavaScript and
// without, and that nothing on it fails or comes from elsewhere.
//
// What browser.mjs takes, and PAGES_TASK (one that runs), PAGES_ENDED (one that has ended), PAGES_HAGGLE (the command line),
// PAGES_WASM (a module to run), PAGES_SHOTS (where pictures go; none without).

import { readFileSync } from 'node:fs';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import assert from 'node:assert/strict';

import { browser, bytesOf, isSmall, open, seriousOn, step, token, url } from './browser.mjs';

const { PAGES_TASK: task, PAGES_ENDED: ended, PAGES_HAGGLE: haggle, PAGES_WASM: wasm, PAGES_SHOTS: shots } = process.env;
// That of a task: `task-3.7` is of `framework-3`.
const framework = task.replace('task', 'framework').replace(/\..*/, '');
const pages = ['/', '/agents', '/agents/agent-1', '/roles', '/frameworks', `/frameworks/${framework}`, '/offers', '/tasks',
  '/tasks?state=failed', '/tasks?q=nothing-is-called-so', `/tasks/${task}`, `/tasks/${ended}`, '/events', '/tokens', '/audit'];

let state;
await step('logging in leads to the page that was wanted, and a wrong token is told', async () => {
  const { context, page, trouble } = await open();
  await page.goto('/tasks?state=failed');
  assert.equal(new URL(page.url()).pathname, '/login');
  await page.fill('#token', 'no token');
  await page.press('#token', 'Enter');
  await page.waitForSelector('[role=alert]');
  assert.ok(trouble.every((line) => line.includes('401')), trouble.join('\n'));
  trouble.length = 0;
  await page.fill('#token', token);
  await page.press('#token', 'Enter');
  await page.waitForURL('**/tasks?state=failed');
  state = await context.storageState();
  const [cookie] = state.cookies;
  assert.ok(cookie.httpOnly && cookie.sameSite === 'Strict', JSON.stringify(cookie));
  assert.deepEqual(trouble, []);
  await context.close();
});

await step('every page is whole, small, accessible and quiet, in light and in dark', async () => {
  const faults = [];
  for (const colorScheme of ['light', 'dark']) {
    const { context, page, trouble } = await open({ storageState: state, colorScheme });
    for (const address of pages) {
      await page.goto(address, { waitUntil: 'load' });
      await page.waitForSelector('h1');
      faults.push(...[...await seriousOn(page), ...trouble].map((fault) => `${colorScheme} ${address}: ${fault}`));
      trouble.length = 0;
    }
    await context.close();
  }
  assert.deepEqual(faults, []);
});

await step('on a phone no page is wider than the phone, and what it says is accessible', async () => {
  const { context, page, trouble } = await open({ storageState: state, viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true });
  const faults = [];
  for (const address of pages) {
    await page.goto(address, { waitUntil: 'load' });
    await page.waitForSelector('h1');
    const [wide, seen] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
    if (wide > seen) faults.push(`${address}: ${wide} pixels on ${seen}`);
    faults.push(...(await seriousOn(page)).map((fault) => `${address}: ${fault}`));
  }
  assert.deepEqual([faults, trouble], [[], []]);
  await context.close();
});

await step('a task tells what it runs', async () => {
  const { context, page } = await open({ storageState: state });
  await page.goto(`/tasks/${ended}`);
  const told = await page.evaluate(async () => (await fetch(`${location.pathname}.json`)).json());
  assert.match(told.task.module, /^sha256:[0-9a-f]{64}$/);
  assert.ok(await page.isVisible(`dd:has-text("${told.task.module}")`));
  await context.close();
});

await step('a first load is below 120 KB', async () => {
  const { context, page } = await open({ storageState: state });
  await page.goto('/tasks', { waitUntil: 'load' });
  const bytes = await bytesOf(page);
  assert.ok(isSmall(bytes), `${bytes} bytes`);
  await context.close();
});

await step('every page can be read without JavaScript, and a filter used', async () => {
  const { context, page, trouble } = await open({ storageState: state, javaScriptEnabled: false });
  for (const address of pages) {
    await page.goto(address);
    assert.ok((await page.locator('main').innerText()).length > 20, address);
  }
  await page.goto('/tasks');
  await page.fill('#q', 'hungry');
  await page.click('button:has-text("Find")');
  await page.waitForURL('**q=hungry**');
  await page.goto(`/tasks/${task}`);
  assert.match(await page.innerText('main'), /CPU rate, averaged/, 'what it uses is told');
  await page.click('summary:has-text("Kill")');
  assert.ok(await page.isVisible(`text=haggle kill ${task}`));
  assert.deepEqual(trouble, []);
  await context.close();
});

await step('names of strangers are text, and a page tells what happens by itself', async () => {
  const { context, page, trouble } = await open({ storageState: state });
  await page.goto('/tasks');
  assert.equal(await page.locator('main script, main img[src=x]').count(), 0);
  const name = '"\'><script>alert(1)</script><img src=x onerror=alert(1)>';
  await promisify(execFile)(haggle, ['--master', url, 'run', '--name', name, wasm]);
  await page.locator('td.name', { hasText: '<script>alert(1)</script><img' }).first().waitFor();
  assert.equal(await page.locator('main script, main img').count(), 0);
  assert.deepEqual(trouble, []);
  await context.close();
});

await step('a page lives whichever of its scripts comes late', async () => {
  const { context, page, trouble } = await open({ storageState: state });
  await page.route('**/hx-sse.min.js*', async (route) => {
    // What the script before it does at its next turn is done by then.
    await page.waitForFunction(() => window.htmx && new Promise((done) => setTimeout(() => setTimeout(() => done(true)))));
    await route.continue();
  });
  const lives = page.waitForRequest((request) => request.headers().accept?.includes('text/event-stream'));
  await page.goto('/tasks');
  await lives;
  assert.deepEqual(trouble, []);
  await context.close();
});

await step('it is plotted how fast a task uses processors, while it runs, and an agent tells its versions', async () => {
  const { context, page, trouble } = await open({ storageState: state });
  await page.goto(`/tasks/${task}`);
  await page.waitForFunction(() => document.querySelector('.plot .rate')?.getAttribute('points')?.split(' ').length >= 3);
  assert.match(await page.innerText('.plot .num'), /^0\.\d\d of 0\.1 cpu$/);
  // The page was rendered anew meanwhile, or will be: what was plotted stays.
  await page.waitForResponse((response) => response.url().endsWith('/usage.json'));
  assert.equal(await page.locator('.plot svg').count(), 1);
  await page.goto('/agents/agent-1');
  await page.locator('dd', { hasText: /^wasmtime \d/ }).waitFor();
  assert.deepEqual(trouble, []);
  await context.close();
});

await step('a page that may not live at first shows what it has, says so, and lives later', async () => {
  const { context, page } = await open({ storageState: state });
  const isStream = (request) => request.headers().accept?.includes('text/event-stream');
  let tries = 0;
  await page.route('**/tasks', async (route) => {
    if (!isStream(route.request()) || (tries += 1) > 2) return route.continue();
    return tries === 1 ? route.fulfill({ status: 429, contentType: 'text/plain', body: 'too many watch' }) : route.abort();
  });
  await page.goto('/tasks');
  await page.locator('#stale', { hasText: 'does not change by itself' }).waitFor();
  assert.equal(await page.locator('main td.name').first().isVisible(), true);
  await page.waitForResponse((response) => isStream(response.request()) && response.ok());
  await page.waitForFunction(() => document.getElementById('stale').textContent === '');
  await context.close();
});

await step('keys go through the pages', async () => {
  const { context, page, trouble } = await open({ storageState: state });
  await page.goto('/');
  await page.keyboard.press('g');
  await page.keyboard.press('t');
  await page.waitForURL('**/tasks');
  await page.keyboard.press('j');
  await page.keyboard.press('Enter');
  await page.waitForURL('**/tasks/task-*');
  await page.goto('/tasks');
  await page.keyboard.press('/');
  await page.keyboard.type('hungry');
  await page.waitForURL('**q=hungry**');
  await page.waitForFunction(() => document.activeElement?.id === 'q');
  assert.deepEqual(trouble, []);
  await context.close();
});

await step('a log is followed, searched and downloaded', async () => {
  const { context, page, trouble } = await open({ storageState: state });
  await page.goto(`/tasks/${ended}`);
  const log = page.locator(`#log-${ended.replace('.', '\\.')}-stdout`);
  await page.fill('#find-stdout', 'no line has this');
  await page.waitForFunction((id) => document.getElementById(id).textContent === '', `log-${ended}-stdout`);
  await page.fill('#find-stdout', '');
  assert.ok((await log.innerText()).length > 0);
  const [download] = await Promise.all([page.waitForEvent('download'), page.click('a[download$="stdout.txt"]')]);
  assert.ok(readFileSync(await download.path(), 'utf8').length > 0);
  assert.deepEqual(trouble, []);
  await context.close();
});

const SHOTS = [['cluster', '/'], ['agents', '/agents'], ['roles', '/roles'], ['tasks', '/tasks'], ['task', `/tasks/${ended}`], ['running', `/tasks/${task}`],
  ['framework', `/frameworks/${framework}`]];
if (shots) {
  await step('pictures', async () => {
    for (const [form, viewport] of [['desktop', { width: 1280, height: 800 }], ['phone', { width: 390, height: 844 }]]) {
      for (const colorScheme of ['light', 'dark']) {
        const { context, page } = await open({ storageState: state, colorScheme, viewport });
        for (const [name, address] of SHOTS) {
          await page.goto(address, { waitUntil: 'load' });
          if (name === 'running') await page.waitForFunction(() => document.querySelector('.plot .rate')?.getAttribute('points')?.split(' ').length >= 5);
          await page.screenshot({ path: `${shots}/${name}-${form}-${colorScheme}.png` });
        }
        await context.close();
      }
    }
  });
}

await step('the life of a task is a line of dots, from when it was asked for to its end', async () => {
  const { context, page, trouble } = await open({ storageState: state });
  await page.goto(`/tasks/${ended}`);
  const names = await page.locator('.life .what').allInnerTexts();
  const times = await page.locator('.life .then').allInnerTexts();
  assert.deepEqual(names, ['submitted', 'offered', 'sent', 'fetched', 'compiled', 'started', 'finished']);
  assert.ok(times.length === 6 && times.every((time) => /^[0-9.]+ (µs|ms|s)$/.test(time)), times.join(', '));
  const told = await page.evaluate(async () => (await fetch(`${location.pathname}.json`)).json());
  assert.deepEqual(told.life.map(({ step }) => step), names);
  assert.deepEqual(trouble, []);
  await context.close();
});

await step('a task is run again on its page, which leads to the new one', async () => {
  const { context, page, trouble } = await open({ storageState: state });
  await page.goto(`/tasks/${ended}`);
  await page.click('summary:has-text("Run again")');
  assert.ok(await page.isVisible(`text=haggle again ${ended}`));
  await page.click('button:has-text("Run again")');
  await page.waitForURL((address) => /^\/tasks\/task-\d+\.1$/.test(address.pathname) && !address.pathname.endsWith(ended));
  await page.locator('.badge', { hasText: 'done' }).first().waitFor();
  assert.match(await page.innerText('main'), /hello, world/);
  assert.deepEqual(trouble, []);
  await context.close();
});

await step('a task is killed on its page, which tells so', async () => {
  const { context, page, trouble } = await open({ storageState: state });
  await page.goto(`/tasks/${task}`);
  await page.click('summary:has-text("Kill")');
  await page.click('button:has-text("Kill")');
  await page.waitForURL(`**/tasks/${task}`);
  await page.locator('.title .badge.done').waitFor();
  assert.deepEqual(trouble, []);
  await context.close();
});

await browser.close();
