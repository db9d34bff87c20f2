/**
 * textlint's eyes for a page of the book, in Markdown (MyST) or as a notebook, and for docstrings.
 *
 * What a reader reads as English is kept, on its own line and in its own column; the rest is
 * blanked: front matter, labels, comments, maths, the marks of directives and roles, all of a
 * notebook but its Markdown cells, and all of a Python file but its docstrings. The text of a
 * directive is text, unless the directive is in SHUT.
 */
const { parse } = require("@textlint/markdown-to-ast");

const SHUT =
  /^(bibliography|code|code-block|code-cell|eval-rst|explorer|image|literalinclude|math|mermaid|playground|raw|toctree)\b/;
const FENCE = /^(\s*)(`{3,}|~{3,}|:{3,})\s*(.*)$/;
const OPTION = /^\s*:[\w-]+:/;

const blank = (text) => text.replace(/[^\n]/g, " ");
const code = (text) => `\`${text.slice(1, -1).replaceAll("`", "x")}\``;

/** Hide what is not English. Neither lines nor columns move. */
function english(text) {
  const open = []; // the directives around a line whose text is read
  let shut = null; // the fence of code around a line
  let head = false; // the lines of options below a directive's name
  const lines = text
    .replace(/^---\n[^]*?\n---\n/, blank)
    .split("\n")
    .map((line) => {
      const [, , mark, name] = FENCE.exec(line) ?? [];
      const closes = (fence) => mark?.startsWith(fence) && name === "";
      if (shut) {
        if (closes(shut)) shut = null;
        return blank(line);
      }
      if (mark && closes(open.at(-1) ?? "-")) {
        open.pop();
        return blank(line);
      }
      if (mark) {
        const directive = /^\{([\w:-]+)\}/.exec(name);
        if (directive && !SHUT.test(directive[1])) {
          open.push(mark);
          head = true;
        } else if (!directive || !/^\{glue|\}$/.test(name) || mark[0] !== ":") {
          shut = mark;
        }
        return blank(line);
      }
      head &&= OPTION.test(line);
      if (head || /^\s*(%|\(.*\)=\s*$|\+\+\+)/.test(line)) return blank(line);
      return line.replace(/^(\s*):(?= )/, "$1 "); // the mark of a definition
    });
  return lines
    .join("\n")
    .replace(/\$\$[^]+?\$\$(\s*\(.*\))?/g, blank)
    .replace(/(?<![\\$`])\$(?! )[^$`]+?(?<! )\$/g, code)
    .replace(/(?<!`)\{[\w:]+\}`[^`]+`/g, code)
    .replace(/(?<=\d),(?=\d{3})/g, "'"); // max-comma would count it
}

/** The Markdown cells of a notebook, each line where it stands in the file, and each line's cell. */
function cells(text) {
  const kept = [];
  const owner = [];
  let kind = "";
  let number = 0;
  let inside = false;
  for (const line of text.split("\n")) {
    const type = /^   "cell_type": "(\w+)"/.exec(line);
    if (type) [kind, number] = [type[1], number + 1];
    if (/^   \]/.test(line)) inside = false;
    const source = inside && kind === "markdown" && /^    (".*"),?$/.exec(line);
    kept.push(source ? JSON.parse(source[1]).replace(/\n$/, "") : "");
    owner.push(number);
    if (/^   "source": \[/.test(line)) inside = true;
  }
  return { text: kept.join("\n"), owner };
}

const DOCSTRING = /(?<=^|:(?:  #.*)?\n)( *)r?"""([^]*?)"""/g; // a string that opens a block
const EXAMPLE = /^ *>>>[^]*?(?=\n *\n|$(?![^]))/gm; // to the next empty line
const MATHS = /^( *)\.\. .*(\n(?=\n|\1 ).*)*/gm; // a directive, and what is indented below it
const SECTION = /^([A-Z][a-z]+:)\n((?:\n|    .*(?:\n|$))+)/gm;
const ENTRIES = /^(Args|Attributes|Raises)/;
const ENTRY = /^    ([*\w][*.\w, ]*)(?=: )/gm; // an argument or an error
const TEXT = /^    (?! )/; // of another section

/** The text of one docstring as Markdown, where sections are lists. */
function prose(text, indent) {
  return text
    .replaceAll(`\n${indent}`, "\n")
    .replace(EXAMPLE, blank)
    .replace(MATHS, blank)
    .replace(/:[\w:]+:`[^`]+`/g, code)
    .replace(SECTION, (_, head, body) => {
      const items = ENTRIES.test(head)
        ? body.replace(ENTRY, (_, name) => `  - ${"x".repeat(name.length)}`)
        : body.replace(TEXT, "  - ");
      return `${blank(head)}\n${items}`;
    });
}

/** The docstrings of a Python file, each line where it stands in the file, and its columns moved. */
function docstrings(text) {
  const moved = text.split("\n").map(() => 0);
  let kept = "";
  let end = 0;
  for (const found of text.matchAll(DOCSTRING)) {
    const [all, indent, body] = found;
    kept += text.slice(end, found.index).replace(/.+/g, "");
    const first = kept.split("\n").length - 1;
    body.split("\n").forEach((_, row) => (moved[first + row] = indent.length));
    moved[first] = all.length - body.length - 3;
    kept += prose(body, indent);
    end = found.index + all.length;
  }
  return { text: kept, moved };
}

const READ = { ".md": (text) => ({ text }), ".ipynb": cells, ".py": docstrings };

class Page {
  files = new Map(); // textlint asks for a new processor before and after its rules

  availableExtensions() {
    return Object.keys(READ);
  }

  processor(extension) {
    return {
      preProcess: (file, filePath) => {
        const { text, ...places } = READ[extension](file);
        this.files.set(filePath, places);
        const kept = english(text);
        return { text: kept, ast: parse(kept) };
      },
      postProcess: (messages, filePath = "<page>") => {
        const { owner, moved } = this.files.get(filePath);
        const named = messages.map((found) => {
          const { line, column } = found.loc.start;
          const message = owner ? `cell ${owner[line - 1]}: ${found.message}` : found.message;
          return { ...found, message, column: column + (moved?.[line - 1] ?? 0) };
        });
        return { messages: named, filePath };
      },
    };
  }
}

module.exports = { Processor: Page };
