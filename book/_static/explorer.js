/* Moves the interactive pictures of a built page: no kernel, no network, works over file:// too.
 *
 * bopkit.book.widgets.page_html writes what this file reads. Each picture stands in the page already,
 * at its sliders' start; the others are packed beside it and unpacked here. */

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

async function bringToLife(explorer) {
  const { parts, frames } = await unpack(explorer.querySelector("script").textContent);
  const form = explorer.querySelector("form");
  const picture = explorer.querySelector(".bop-picture");
  const says = explorer.querySelector(".bop-says");
  const fields = [...form.children];

  function position(field) {
    const input = field.querySelector("input[type=range], input:checked");
    return Number(input.value);
  }

  function show() {
    // The last slider moves fastest, as in the list of frames.
    const index = fields.reduce((sum, field) => sum * field.dataset.size + position(field), 0);
    const [numbers, description] = frames[index];
    picture.innerHTML = numbers.map((number) => "<" + parts[number]).join("");
    says.textContent = description.replaceAll(" %", "\u00a0%"); // no line ends before the sign
    for (const input of form.querySelectorAll("input[type=range]")) {
      const text = JSON.parse(input.dataset.texts)[input.value];
      input.setAttribute("aria-valuetext", text);
      input.parentElement.querySelector("output").textContent = text;
      // How far the track is filled.
      input.style.setProperty("--share", input.value / input.max);
    }
  }

  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  // A browser that comes back to a page may bring its old positions along.
  show();
  form.hidden = false;
}

// Those that the browser computes bring their own module.
for (const explorer of document.querySelectorAll(".bop-explorer:not(.bop-live)"))
  bringToLife(explorer);
