/* The address of what is shown, copied; and the lines that put it into another page. */
function address(embedded) {
  const here = new URL(window.location.href);
  here.searchParams.delete("embed");
  here.searchParams.delete("embed_options");
  if (embedded) here.searchParams.set("embed", "true");
  return here.href;
}
const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll('"', "&quot;");
const texts = {
  address: () => address(false),
  frame: () => `<iframe src="${escaped(address(true))}" title="PurSAMERE Explorer" width="100%" height="720" style="border: 0" allowfullscreen></iframe>`,
};

/* Browsers give the clipboard to pages from this machine or over https alone; elsewhere a selected field does it. */
async function copy(text) {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
  const field = Object.assign(document.createElement("textarea"), { value: text });
  field.style.position = "fixed";
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  if (!done) throw new Error("the browser refused");
}

export default function ({ parentElement }) {
  const share = parentElement.querySelector(".share"), said = parentElement.querySelector(".share-said");
  share.onclick = async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const text = texts[button.dataset.copy]();
    said.textContent = await copy(text).then(() => "Copied", () => `Copy it by hand: ${text}`);
    setTimeout(() => { if (said.textContent === "Copied") said.textContent = ""; }, 3000);
  };
}
