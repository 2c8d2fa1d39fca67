#include "serve_page.hpp"

namespace pretrain {

const char* const serve_page = R"html(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>pretrain_llama</title>
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; --ink: #1c1917; --paper: #fff; --faint: #78716c; --line: #d6d3d1;
  --new: #9a3412; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e7e5e4; --paper: #1c1917; --faint: #a8a29e; --line: #44403c; --new: #fdba74; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem; max-width: 46rem; color: var(--ink); background: var(--paper);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { margin: 0 0 1rem; font-size: 1.1rem; }
h1 span { color: var(--faint); font-weight: normal; }
textarea, input, button { font: inherit; color: inherit; background: transparent;
  border: 1px solid var(--line); border-radius: .3rem; padding: .3rem .5rem; }
textarea { width: 100%; min-height: 5rem; resize: vertical; }
fieldset { display: flex; flex-wrap: wrap; gap: .8rem; align-items: end; margin: .8rem 0; padding: 0;
  border: 0; }
label { display: grid; font-size: .8rem; color: var(--faint); }
label input { width: 5.5rem; color: var(--ink); font-size: 1rem; }
button { padding: .3rem 1rem; cursor: pointer; }
button:disabled { opacity: .4; cursor: default; }
#text { white-space: pre-wrap; overflow-wrap: anywhere; border-top: 1px solid var(--line); padding-top: 1rem;
  min-height: 8rem; }
#text b { font-weight: normal; color: var(--new); }
#state { color: var(--faint); font-size: .85rem; min-height: 1.5em; }
</style>
</head>
<body>
<h1>pretrain_llama <span id="model"></span></h1>
<form id="form">
<textarea id="prompt" aria-label="prompt" placeholder="How the text begins">Once upon a time</textarea>
<fieldset>
<label>tokens <input id="max_tokens" type="number" min="1" value="200"></label>
<label>temperature <input id="temperature" type="number" min="0" step="0.1" value="0.8"></label>
<label>top p <input id="top_p" type="number" min="0.01" max="1" step="any" value="1"></label>
<label>min p <input id="min_p" type="number" min="0" max="1" step="any" value="0"></label>
<label>seed <input id="seed" type="number" placeholder="any"></label>
<button id="write">Write</button>
<button id="stop" type="button" disabled>Stop</button>
</fieldset>
</form>
<div id="text" aria-live="polite"></div>
<p id="state"></p>
<script>
const at = id => document.getElementById(id);
let running = null;
fetch("/v1/models").then(answer => answer.json()).then(models => {
  at("model").textContent = models.data[0].id;
});
at("stop").onclick = () => running && running.abort();
at("prompt").onkeydown = event => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) at("form").requestSubmit();
};
at("form").onsubmit = async event => {
  event.preventDefault();
  if (running) return;
  running = new AbortController();
  at("write").disabled = true;
  at("stop").disabled = false;
  const request = { prompt: at("prompt").value, stream: true, stream_options: { include_usage: true } };
  for (const name of ["max_tokens", "temperature", "top_p", "min_p", "seed"]) {
    if (at(name).value !== "") request[name] = Number(at(name).value);
  }
  const added = document.createElement("b");
  at("text").replaceChildren(request.prompt, added);
  at("state").textContent = "";
  const begin = performance.now();
  try {
    const answer = await fetch("/v1/completions", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(request),
      signal: running.signal
    });
    if (!answer.ok) throw new Error((await answer.json()).error.message);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let waiting = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) break;
      const events = (waiting + value).split("\n\n");
      waiting = events.pop();
      for (const text of events) {
        const data = text.replace(/^data: /, "");
        if (data === "[DONE]") continue;
        const piece = JSON.parse(data);
        if (piece.error) throw new Error(piece.error.message);
        for (const choice of piece.choices) added.append(choice.text);
        if (piece.usage) {
          const seconds = (performance.now() - begin) / 1000, tokens = piece.usage.completion_tokens;
          at("state").textContent = `${tokens} tokens, ${(tokens / seconds).toFixed(0)} tokens/s`;
        }
      }
    }
  } catch (error) {
    at("state").textContent = error.name === "AbortError" ? "stopped" : error.message;
  }
  running = null;
  at("write").disabled = false;
  at("stop").disabled = true;
};
</script>
</body>
</html>
)html";

}  // namespace pretrain
