// The pages of a cluster in which there is nothing yet, in headless Chromium: each says so, and what to type.
//
// What browser.mjs takes.

import assert from 'node:assert/strict';

import { browser, bytesOf, isSmall, loggedIn, open, seriousOn, step } from './browser.mjs';

const pages = ['/', '/agents', '/roles', '/frameworks', '/offers', '/tasks', '/events', '/tokens', '/audit'];
// Somebody is logged in, whoever is heard happens later, and what was decided so far is there.
const full = ['/tokens', '/events', '/audit'];
const state = await loggedIn();

await step('every page is whole, small, accessible and quiet, and says that there is nothing', async () => {
  const { context, page, trouble } = await open({ storageState: state });
  const faults = [];
  for (const address of pages) {
    await page.goto(address, { waitUntil: 'load' });
    await page.waitForSelector('h1');
    faults.push(...[...await seriousOn(page), ...trouble].map((fault) => `${address}: ${fault}`));
    trouble.length = 0;
    const bytes = await bytesOf(page);
    if (!isSmall(bytes)) faults.push(`${address}: ${bytes} bytes`);
    if (!full.includes(address)) assert.ok(await page.locator('.card.empty').first().isVisible(), address);
  }
  assert.deepEqual(faults, []);
  await context.close();
});

await step('without JavaScript it says the same', async () => {
  const { context, page, trouble } = await open({ storageState: state, javaScriptEnabled: false });
  for (const address of pages) {
    await page.goto(address);
    assert.ok((await page.locator('main').innerText()).length > 20, address);
  }
  await page.goto('/agents');
  assert.match(await page.locator('.card.empty code').first().innerText(), /^haggle agent /);
  assert.deepEqual(trouble, []);
  await context.close();
});

await browser.close();
