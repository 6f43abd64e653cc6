// Each button calls an endpoint and shows what came back: the status, the time, what the header fields say, the content.
const FIELDS = [
  "content-type", "content-length", "content-encoding", "vary", "etag", "last-modified", "cache-control", "age",
  "cache-status", "allow", "retry-after", "via",
];
const bodies = {
  rename: () => ({ name: `Ada Dunlin, renamed at ${new Date().toLocaleTimeString()}` }),
  create: () => ({ name: "A new user", email: `new-${Date.now()}@example.com` }),
  twice: () => ({ name: "Somebody else", email: "user1@example.com" }),
};

function panel(button) {
  const section = button.closest("section");
  let answer = section.querySelector(".answer");
  if (!answer) {
    section.append(document.getElementById("answer").content.cloneNode(true));
    answer = section.querySelector(".answer");
  }
  return answer;
}

async function once(button) {
  const { path, method = "GET", body, cache } = button.dataset;
  // "no-store" keeps the browser's own cache out of it. It would also tell the service to go past its cache, unless
  // the request says something else: here, that any answer of the last day will do.
  const headers = { "Cache-Control": cache ?? "max-age=86400" };
  const init = { method, headers, cache: "no-store" };
  if (body) {
    init.body = JSON.stringify(bodies[body]());
    headers["Content-Type"] = "application/json";
  }
  const start = performance.now();
  const response = await fetch(path, init);
  const text = await response.text();
  return { response, text, time: performance.now() - start };
}

async function many(button, times) {
  const calls = [];
  const start = performance.now();
  for (let i = 0; i < times; i++) {
    const call = once(button);
    calls.push(button.dataset.serial ? await call : call);
  }
  const all = await Promise.all(calls);
  return { all, time: performance.now() - start };
}

function pretty(text, type) {
  if (!/json/.test(type ?? "")) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function show(answer, { response, text, time }, note = "") {
  const status = answer.querySelector(".status");
  status.textContent = `${response.status} ${response.statusText}`;
  status.classList.toggle("bad", response.status >= 400);
  answer.querySelector(".time").textContent = `${time.toFixed(1)} ms`;
  answer.querySelector(".note").textContent = note;
  const list = answer.querySelector("dl");
  list.replaceChildren();
  for (const name of FIELDS) {
    const value = response.headers.get(name);
    if (value === null) continue;
    const [term, definition] = [document.createElement("dt"), document.createElement("dd")];
    term.textContent = name;
    definition.textContent = value;
    list.append(term, definition);
  }
  const shown = pretty(text, response.headers.get("content-type"));
  answer.querySelector(".body").textContent = shown.length > 4000 ? `${shown.slice(0, 4000)}\n… ${shown.length} characters in all` : shown;
}

async function call(button) {
  const answer = panel(button);
  button.disabled = true;
  try {
    const times = Number(button.dataset.times ?? 1);
    if (times === 1) {
      show(answer, await once(button));
      return;
    }
    const { all, time } = await many(button, times);
    const each = all.map((one) => one.time).sort((a, b) => a - b);
    const median = each[Math.floor(times / 2)];
    const note = button.dataset.serial
      ? `for ${times}: the first took ${all[0].time.toFixed(1)} ms, half of them less than ${median.toFixed(1)} ms`
      : `for ${times} requests under way together`;
    show(answer, { ...all[times - 1], time }, note);
  } catch (error) {
    answer.querySelector(".status").textContent = "no answer";
    answer.querySelector(".status").classList.add("bad");
    answer.querySelector(".body").textContent = String(error);
  } finally {
    button.disabled = false;
  }
}

for (const button of document.querySelectorAll("button[data-path]")) {
  button.addEventListener("click", () => call(button));
}

// The live row: an EventSource gets it, and again whenever it has changed. It reconnects by itself.
function follow(path) {
  const [row, stream] = [document.getElementById("row"), document.getElementById("stream")];
  let events = 0;
  const source = new EventSource(path);
  source.onopen = () => { stream.textContent = "connected"; };
  source.onmessage = ({ data }) => {
    const user = JSON.parse(data);
    row.textContent = user ? user.name : "there is no such user";
    row.classList.remove("changed");
    if (events++) requestAnimationFrame(() => row.classList.add("changed"));
    stream.textContent = `connected · event ${events} at ${new Date().toLocaleTimeString()}`;
  };
  source.onerror = () => {
    stream.textContent = "reconnecting";
    // A response that is an error ends an EventSource.
    if (source.readyState === EventSource.CLOSED) setTimeout(() => follow(path), 2000);
  };
}

document.getElementById("rename").addEventListener("submit", async (event) => {
  event.preventDefault();
  const input = event.target.elements.name;
  const response = await fetch("/users/1", {
    method: "PATCH",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ name: input.value }),
  });
  if (response.ok) event.target.reset();
  else document.getElementById("stream").textContent = (await response.json()).detail;
});

follow("/users/1");
