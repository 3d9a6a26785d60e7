// Builds the bundle that scanpost commits and serves: ../static/<name>.<hash>.js and app.<hash>.css,
// each with a .br and a .gz beside it, bundle.json (what is in it), words.json (what each
// page's script says, to be translated) and THIRD_PARTY_LICENSES.txt.
// The same sources and lockfile give the same bytes, so CI can rebuild and compare.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build } from "esbuild";
import ts from "typescript";

const here = dirname(fileURLToPath(import.meta.url));
const target = join(here, "..", "static");

const { outputFiles, metafile } = await build({
  absWorkingDir: here,
  entryPoints: {
    app: "src/main.ts",
    worker: "src/mesh.worker.ts", // prepares large scans beside the page
    upload: "src/upload.ts", // the upload page has a script of its own, which reviewers do not carry
    style: "src/app.css",
  },
  outdir: target,
  write: false,
  metafile: true,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "none",
  banner: { js: "/* Licences: THIRD_PARTY_LICENSES.txt */" },
  logLevel: "warning",
});

mkdirSync(target, { recursive: true });
for (const name of readdirSync(target)) {
  if (/^(app|upload|worker)\.[0-9a-f]{10}\.(js|css)(\.br|\.gz)?$/.test(name)) rmSync(join(target, name));
}

const outputs = {};
for (const { path, contents } of outputFiles) {
  const extension = path.endsWith(".css") ? "css" : "js";
  const sha256 = createHash("sha256").update(contents).digest("hex");
  const name = extension === "css" ? "app" : basename(path, ".js");
  const file = `${name}.${sha256.slice(0, 10)}.${extension}`;
  const brotli = brotliCompressSync(contents, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
      [constants.BROTLI_PARAM_LGWIN]: constants.BROTLI_MAX_WINDOW_BITS,
      [constants.BROTLI_PARAM_SIZE_HINT]: contents.length,
    },
  });
  const gzip = gzipSync(contents, { level: 9 });
  writeFileSync(join(target, file), contents);
  writeFileSync(join(target, `${file}.br`), brotli);
  writeFileSync(join(target, `${file}.gz`), gzip);
  outputs[`${name}.${extension}`] = { file, sha256 };
  console.log(`${file}  ${contents.length} bytes, brotli ${brotli.length}, gzip ${gzip.length}`);
}

const packages = shippedPackages();
const bundle = {
  outputs: Object.fromEntries(Object.entries(outputs).sort()),
  packages: packages.map(({ name, version, integrity, license }) => ({
    name,
    version,
    integrity,
    license,
  })),
};
writeFileSync(join(target, "bundle.json"), `${JSON.stringify(bundle, null, 2)}\n`);
writeFileSync(join(target, "THIRD_PARTY_LICENSES.txt"), licences(packages));
writeFileSync(join(target, "words.json"), `${JSON.stringify(allSentences(), null, 2)}\n`);

/** The npm packages of which code is in the bundle, as the lockfile knows them. */
function shippedPackages() {
  const lock = JSON.parse(readFileSync(join(here, "package-lock.json"), "utf8"));
  const names = new Set();
  for (const [input, { bytesInOutput }] of bundledInputs()) {
    const match = /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input);
    if (match && bytesInOutput > 0) names.add(match[1]);
  }
  return [...names].sort().map((name) => {
    const folder = join(here, "node_modules", name);
    const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const { integrity } = lock.packages[`node_modules/${name}`];
    return { name, version, integrity, license, text: licenceText(folder) };
  });
}

function bundledInputs() {
  return Object.values(metafile.outputs).flatMap(({ inputs }) => Object.entries(inputs));
}

function licenceText(folder) {
  const file = ["LICENSE", "LICENSE.md", "LICENSE.txt"].find((name) => existsSync(join(folder, name)));
  if (!file) throw new Error(`${folder} carries no licence text`);
  return readFileSync(join(folder, file), "utf8").trim();
}

function licences(packages) {
  const head = "The file app.<hash>.js contains code of these packages.\n";
  const rule = "-".repeat(72);
  return packages.reduce(
    (text, { name, version, license, text: body }) =>
      `${text}\n${rule}\n${name} ${version} (${license})\n${rule}\n\n${body}\n`,
    head,
  );
}

/** By the script that says them. */
function allSentences() {
  const scripts = Object.entries(metafile.outputs).filter(([path]) => path.endsWith(".js"));
  const said = scripts.map(([path, { inputs }]) => [basename(path), sentences(Object.keys(inputs))]);
  return Object.fromEntries(said.filter(([, found]) => found.length).sort());
}

/** The English of every t(…), pieces(…) and counted(…) in the sources; of the last, both its forms. */
function sentences(inputs) {
  const found = new Map();
  for (const path of inputs.filter((input) => /^src\/.*\.ts$/.test(input)).sort()) {
    const name = basename(path);
    const text = readFileSync(join(here, path), "utf8");
    const visit = (node) => {
      const called = ts.isCallExpression(node) && ts.isIdentifier(node.expression) && node.expression.text;
      if (name !== "language.ts" && ["t", "pieces", "counted"].includes(called)) {
        const said = node.arguments.slice(0, called === "counted" ? 2 : 1).map((one) => plain(one, name));
        found.set(said[0], said.length > 1 ? said : said[0]);
      }
      ts.forEachChild(node, visit);
    };
    visit(ts.createSourceFile(name, text, ts.ScriptTarget.ES2022));
  }
  return [...found.values()];
}

/** A sentence as it is written, in one piece or over several lines. */
function plain(node, name) {
  if (ts.isStringLiteralLike(node)) return node.text;
  if (ts.isBinaryExpression(node)) return plain(node.left, name) + plain(node.right, name);
  throw new Error(`src/${name}: what is translated must be a plain sentence`);
}
