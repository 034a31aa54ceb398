// Pages of a master that has very much to show, in headless Chromium: that they open, stay small, live, can be paged and filtered, say what
// they leave out, and can be read by everybody. What a name says is text, wherever it stands.
//
// What browser.mjs takes, and PAGES_AGENTS and PAGES_TASKS (how many there are), PAGES_ENDED (how many of those tasks have ended),
// PAGES_HAGGLE (the command line).

import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import assert from 'node:assert/strict';

import { browser, bytesOf, isSmall, loggedIn, open, seriousOn, step, url } from './browser.mjs';

const { PAGES_AGENTS: agents, PAGES_TASKS: tasks, PAGES_ENDED: ended, PAGES_HAGGLE: haggle } = process.env;
const marked = (number) => Number(number).toLocaleString('en-US');
const lists = ['/', '/agents', '/agents?page=3', '/agents/agent-1', '/roles', '/frameworks', '/frameworks/framework-1', '/offers', '/tasks',
  '/tasks?state=failed', '/tasks?q=nothing-is-called-so', '/tasks/task-1.1'];
const pages = [...lists, '/events', '/tokens', '/audit'];
const state = await loggedIn();

/** What a list says of how much of it is on the page. */
const shown = (page) => page.innerText('.pager span');

await step('every page opens, is small, accessible, quiet and shows names as text, and lists live', async () => {
  const { context, page, trouble } = await open({ storageState: state });
  const faults = [];
  for (const address of pages) {
    const isStream = (response) => response.request().headers().accept?.includes('text/event-stream');
    const lives = lists.includes(address) ? page.waitForResponse(isStream) : undefined;
    const began = Date.now();
    await page.goto(address, { waitUntil: 'load' });
    const took = Date.now() - began;
    await page.waitForSelector('h1');
    assert.ok((await lives)?.ok() ?? true, address);
    faults.push(...[...await seriousOn(page), ...trouble].map((fault) => `${address}: ${fault}`));
    trouble.length = 0;
    assert.equal(await page.locator('main script, main img').count(), 0, address);
    const bytes = await bytesOf(page);
    console.log(`   ${address}: ${took} ms, ${bytes} bytes`);
    if (!isSmall(bytes)) faults.push(`${address}: ${bytes} bytes`);
  }
  assert.deepEqual(faults, []);
  await context.close();
});

await step('lists are paged, and say of how many', async () => {
  const { context, page, trouble } = await open({ storageState: state });
  await page.goto('/tasks');
  assert.equal(await shown(page), `1 to 50 of ${marked(tasks)} tasks`);
  await page.click('.pager a[rel=next]');
  await page.waitForURL('**/tasks?page=2');
  assert.equal(await shown(page), `51 to 100 of ${marked(tasks)} tasks`);
  await page.keyboard.press('[');
  await page.waitForURL('**/tasks?page=1');
  await page.goto(`/tasks?page=${tasks / 50}`);
  assert.equal(await shown(page), `${marked(tasks - 49)} to ${marked(tasks)} of ${marked(tasks)} tasks`);
  assert.equal(await page.locator('.pager a[rel=next]').count(), 0);
  await page.goto('/agents');
  assert.equal(await shown(page), `1 to 50 of ${marked(agents)} agents`);
  assert.equal(await page.locator('main tbody tr').count(), 50);
  await page.goto('/agents/agent-1');
  await page.locator('main', { hasText: 'More of them' }).waitFor();
  assert.equal(await page.locator('main tbody tr').count(), 20);
  assert.deepEqual(trouble, []);
  await context.close();
});

await step('filters look at everything, and the address holds them', async () => {
  const { context, page, trouble } = await open({ storageState: state });
  await page.goto('/tasks');
  await page.click('.choice.failed');
  await page.waitForURL('**/tasks?state=failed');
  assert.equal(await shown(page), `1 to 50 of ${marked(ended / 2)} tasks`);
  await page.fill('#q', 'render frames 2');
  await page.waitForURL('**q=render**');
  assert.equal(new URL(page.url()).searchParams.get('state'), 'failed');
  const names = await page.locator('main td.name').allInnerTexts();
  assert.ok(names.length > 0 && names.every((name) => name.startsWith('render frames 2')), names.join());
  await page.goto('/tasks?q=nothing-is-called-so');
  await page.locator('main', { hasText: `None of ${marked(tasks)} known tasks is so` }).waitFor();
  await page.goto('/agents?q=node-7&sort=tasks');
  await page.click('.choice.running');
  await page.waitForURL('**state=up**');
  const { searchParams } = new URL(page.url());
  assert.deepEqual([searchParams.get('q'), searchParams.get('sort')], ['node-7', 'tasks'], 'what was chosen before stays');
  assert.deepEqual(trouble, []);
  await context.close();
});

await step('a page tells by itself what becomes of an agent among all others', async () => {
  const { context, page, trouble } = await open({ storageState: state });
  await page.goto('/agents?q=node-9.example');
  const [row] = [page.locator('main tbody tr')];
  const id = await row.locator('td').first().innerText();
  await promisify(execFile)(haggle, ['--master', url, 'agents', 'deactivate', id]);
  await row.locator('.badge', { hasText: 'deactivated' }).waitFor();
  assert.deepEqual(trouble, []);
  await context.close();
});

await step('all of it can be read without JavaScript', async () => {
  const { context, page, trouble } = await open({ storageState: state, javaScriptEnabled: false });
  for (const address of pages) {
    await page.goto(address);
    assert.ok((await page.locator('main').innerText()).length > 20, address);
  }
  await page.goto('/tasks');
  await page.fill('#q', 'nightly');
  await page.click('button:has-text("Find")');
  await page.waitForURL('**q=nightly**');
  await page.click('.pager a[rel=next]');
  await page.waitForURL('**page=2**');
  assert.match(await shown(page), /^51 to 100 of [\d,]+ tasks$/);
  assert.deepEqual(trouble, []);
  await context.close();
});

await browser.close();
