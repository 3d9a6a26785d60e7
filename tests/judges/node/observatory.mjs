/**
 * The MDN HTTP Observatory on one page of a server on loopback: its command line takes neither ports nor
 * paths, so its parts are put together here as its own scanner does. Reads what to judge from the first
 * argument, {httpPort, httpsPort, path, headers, cookies}, and prints {score, grade, tests} as JSON.
 */

import fs from "node:fs";

const place = new URL("node_modules/@mdn/mdn-http-observatory/", import.meta.url);
// Its install script would download these lists; no name of ours is in them.
fs.mkdirSync(new URL("conf/", place), { recursive: true });
for (const [name, empty] of [["hsts-preload", "{}"], ["tld-list", "[]"]]) {
  const list = new URL(`conf/${name}.json`, place);
  if (!fs.existsSync(list)) fs.writeFileSync(list, empty);
}
const part = (path) => import(new URL(`src/${path}`, place));
const { retrieve } = await part("retriever/retriever.js");
const { ALL_TESTS } = await part("constants.js");
const { getGradeForScore, getScoreModifier } = await part("grader/grader.js");
const { MINIMUM_SCORE_FOR_EXTRA_CREDIT } = await part("grader/charts.js");

const { httpPort, httpsPort, path, headers, cookies } = JSON.parse(process.argv[2]);
const found = await retrieve("localhost", { httpPort, httpsPort, path, headers });
if (!found.responses.auto) throw new Error("the page does not answer");
// The cookies that a click has set are judged as if the page itself had.
for (const cookie of cookies) found.session.jar.setCookieSync(cookie, `https://localhost:${httpsPort}/`);

const tests = ALL_TESTS.map((test) => test(found)).map(({ constructor, result, pass }) => ({
  name: constructor.name,
  result,
  pass,
  modifier: getScoreModifier(result),
}));
const sum = (modifiers) => modifiers.reduce((total, each) => total + each, 100);
const strict = sum(tests.map(({ modifier }) => Math.min(modifier, 0)));
const score = strict >= MINIMUM_SCORE_FOR_EXTRA_CREDIT ? sum(tests.map(({ modifier }) => modifier)) : strict;
const { status } = found.responses.auto;
console.log(JSON.stringify({ ...getGradeForScore(score), status, tests }));
