// plotly.min.js, once per page: from the Jupyter server, else from this browser's cache, else from the kernel.

const HOLDER = "__runesWorkbenchPlotly"; // one promise for every widget of the page
const TRANSFER_MS = 30_000;

/** Where this page's server offers files of lab extensions; Voilà's base comes with `voila/`. */
function serverAddresses(version) {
  const told = document.getElementById("jupyter-config-data")?.textContent;
  const config = told ? JSON.parse(told) : {};
  const base = config.baseUrl ?? document.body.dataset.baseUrl;
  if (!base) return [];
  const folder = config.fullLabextensionsUrl ?? `${base.replace(/\/?$/, "/")}lab/extensions`;
  return [`${folder}/plotly.min.js?v=${version}`];
}

function runScript(address) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = address;
    script.onload = () => (globalThis.Plotly ? resolve(globalThis.Plotly) : reject(new Error(address)));
    script.onerror = () => reject(new Error(address));
    document.head.append(script);
  });
}

async function runText(blob) {
  const address = URL.createObjectURL(new Blob([blob], { type: "text/javascript" }));
  return runScript(address).finally(() => URL.revokeObjectURL(address));
}

const unpacked = (packed) =>
  new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).blob();

async function fromCache(version, fetchPacked) {
  const store = globalThis.caches ? await caches.open("runes-workbench").catch(() => null) : null;
  const key = `/runes-workbench/plotly-${version}.js.gz`;
  const kept = await store?.match(key);
  if (kept) return runText(await unpacked(await kept.arrayBuffer()));
  const packed = await fetchPacked();
  await store?.put(key, new Response(packed)).catch(() => {});
  return runText(await unpacked(packed));
}

function fromKernel(model) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("the kernel did not send plotly.min.js")), TRANSFER_MS);
    const receive = (content, buffers) => {
      if (content.kind !== "plotly") return;
      clearTimeout(timer);
      model.off("msg:custom", receive);
      const { buffer, byteOffset, byteLength } = buffers[0];
      resolve(buffer.slice(byteOffset ?? 0, (byteOffset ?? 0) + byteLength));
    };
    model.on("msg:custom", receive);
    model.send({ kind: "plotly" });
  });
}

async function load(model, version) {
  for (const address of serverAddresses(version)) {
    const answer = await fetch(address, { method: "HEAD" }).catch(() => null);
    if (answer?.ok) return runScript(address);
  }
  return fromCache(version, () => fromKernel(model));
}

/** A failure is not kept: the next figure tries again. */
export async function plotly(model, version) {
  if (globalThis.Plotly?.version === version) return globalThis.Plotly;
  globalThis[HOLDER] ??= load(model, version).catch((error) => {
    delete globalThis[HOLDER];
    throw error;
  });
  return globalThis[HOLDER];
}
