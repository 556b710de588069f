// Keeps what is ticked while the list is renewed, and lets so many be compared as can be.
// Without it the form works all the same.

const ticked = new Set();

function show() {
  for (const box of document.querySelectorAll("form.compare input[type=checkbox]")) {
    box.checked = ticked.has(box.name);
  }
  const button = document.querySelector("form.compare button");
  if (button) button.disabled = ticked.size < 2 || ticked.size > 5;
}

document.addEventListener("change", (event) => {
  if (!event.target.matches("form.compare input[type=checkbox]")) return;
  if (event.target.checked) ticked.add(event.target.name);
  else ticked.delete(event.target.name);
  show();
});
for (const box of document.querySelectorAll("form.compare input:checked")) ticked.add(box.name);
new MutationObserver(show).observe(document.querySelector("main"), { childList: true });
show();
