/**
 * At most one colon or semicolon per paragraph stands for a connective ("because", "so", "but").
 *
 * A colon that ends its paragraph introduces a list, code or maths, and one near the start of a
 * list's item sets off the term that the item defines; neither counts.
 */
const MARK = /[:;](?=\s|$)/g;

module.exports = (context, { max = 1 } = {}) => {
  const { Syntax, RuleError, report, locator } = context;
  const inside = (node, type) => node && (node.type === type || inside(node.parent, type));
  return {
    [Syntax.Paragraph](node) {
      if (inside(node, Syntax.BlockQuote)) return;
      const texts = [];
      const collect = (child) =>
        child.type === Syntax.Str ? texts.push(child) : (child.children ?? []).forEach(collect);
      collect(node);
      let marks = texts.flatMap((text) =>
        [...text.value.matchAll(MARK)].map((mark) => text.range[0] + mark.index - node.range[0]),
      );
      const length = context.getSource(node).trimEnd().length;
      marks = marks.filter((at) => at < length - 1);
      if (inside(node, Syntax.ListItem) && marks.length && marks[0] < 60) marks = marks.slice(1);
      if (marks.length > max) {
        const count = `${marks.length} colons or semicolons in one paragraph`;
        const message = `${count}: say "because", "so" or "but", or begin a sentence`;
        report(node, new RuleError(message, { padding: locator.at(marks[max]) }));
      }
    },
  };
};
