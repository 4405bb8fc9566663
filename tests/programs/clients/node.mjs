// Node services: fetch, and http.get with an agent that keeps connections.
//   node node.mjs BASE BASE-WITHOUT-A-TOKEN
import assert from 'node:assert/strict';
import http from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';

const [base, down] = process.argv.slice(2);
const within = () => ({ signal: AbortSignal.timeout(1000) });

// As encodeURIComponent and as URLSearchParams write it.
let answer = await fetch(`${base}/SINGLEV2/?Adresse=${encodeURIComponent('10 rue de la république')}&Pays=FRA&Licence=OURS`, within());
assert.equal((await answer.json())['1'].Voie, 'RUE DE LA REPUBLIQUE');
const query = new URLSearchParams({ Adresse: '|10 rue de la république||01500|Ambérieu-en-Bugey', Pays: 'FRA', licence: '' });
answer = await fetch(`${base}/RNVP/?${query}`, within());
assert.equal((await answer.json())['1'].Voie, 'DE LA REPUBLIQUE');

// A form.
answer = await fetch(`${base}/TEL/`, { method: 'POST', body: new URLSearchParams({ Licence: 'OURS', Tel: '+33 6 12 34 56 78' }), ...within() });
assert.equal((await answer.json())['1'].TelOrigine, '+33 6 12 34 56 78');

// JSON.
for (const [path, data, word] of [
    ['/v1/phone/lookup', { phone: '0612345678', country: 'FRA' }, 'MOBILE'],
    ['/v1/email/lookup', { email: 'hélène@gmail.com' }, 'IdError'],
]) {
    answer = await fetch(base + path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(data), ...within() });
    assert.equal(answer.status, 200);
    assert.match(await answer.text(), new RegExp(word));
}

// What its error handling sees.
answer = await fetch(`${base}/TEL/?Tel=0612345678`, { method: 'HEAD', ...within() });
assert.ok(answer.ok && answer.headers.get('content-length') > 100);
answer = await fetch(`${base}/NOSUCH/`, within());
assert.deepEqual([answer.status, (await answer.json()).code], [404, 'route_not_found']);
answer = await fetch(`${down}/TEL/?Tel=0612345678`, within());
assert.deepEqual([answer.ok, answer.status, (await answer.json()).code], [false, 503, 'token_unavailable']);
assert.ok(Number(answer.headers.get('retry-after')) > 0);

// http.get, the way before fetch.
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
const get = (url) => new Promise((resolve, reject) => {
    const request = http.get(url, { agent, timeout: 1000 }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (piece) => { text += piece; });
        response.on('end', () => resolve({ status: response.statusCode, text }));
    });
    request.on('error', reject);
    request.on('timeout', () => request.destroy(new Error('timeout')));
});
const email = await get(`${base}/DQEEMAILLOOKUP/?Email=${encodeURIComponent(encodeURIComponent('jean.dupont@gmail.com'))}&Rectify=1&Licence=OURS`);
assert.equal(JSON.parse(email.text)['1'].IdError, '00');

// A batch: its connection is kept, its token changes.
let calls = 0;
for (const end = performance.now() + 2500; performance.now() < end; calls++) {
    const phone = await get(`${base}/TEL/?Tel=0612345678&Pays=FRA&Licence=OURS`);
    assert.equal(phone.status, 200, phone.text);
    assert.equal(JSON.parse(phone.text)['1'].Type, 'MOBILE');
    await pause(20);
}
agent.destroy();
console.log(`Node ${process.version}: fetch, http.get, ${calls} calls on a kept connection`);
