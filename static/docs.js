/** The API viewer: RapiDoc on the `openapi.json` beside this page, in the colours of the page, with nothing from elsewhere. */
import "./vendor/rapidoc/rapidoc-min.js";

const FONT = "system-ui, -apple-system, 'Segoe UI', 'PingFang SC', 'Microsoft YaHei', 'Noto Sans CJK SC', sans-serif";

const LIGHT = { "theme": "light", "bg-color": "#f7f6f4", "text-color": "#1b1e25", "nav-bg-color": "#ffffff", "nav-text-color": "#1b1e25", "nav-hover-bg-color": "#ecf0fc", "nav-hover-text-color": "#243b93", "nav-accent-color": "#2f4bb5", "primary-color": "#2f4bb5" };
const DARK = { "theme": "dark", "bg-color": "#131519", "text-color": "#eceef2", "nav-bg-color": "#1c1f25", "nav-text-color": "#eceef2", "nav-hover-bg-color": "#222a45", "nav-hover-text-color": "#bccaff", "nav-accent-color": "#a3b5ff", "primary-color": "#a3b5ff" };

const FIXED = {
  "spec-url": new URL("openapi.json", location.href).href,
  "load-fonts": "false",
  "regular-font": FONT,
  "mono-font": "ui-monospace, Menlo, Consolas, monospace",
  "render-style": "read",
  "schema-style": "table",
  "show-header": "false",
  "show-method-in-nav-bar": "as-colored-text",
  "use-path-in-nav-bar": "true",
  "allow-authentication": "true",
  "allow-server-selection": "false",
  "allow-spec-file-load": "false",
  "allow-spec-file-download": "false",
  "persist-auth": "false",
};

const dark = matchMedia("(prefers-color-scheme: dark)");
const viewer = document.createElement("rapi-doc");
viewer.append(brand());
paint();
viewer.addEventListener("before-render", ({ detail: { spec } }) => (spec.tags = [{ name: "Batches" }])); // The rest comes after.
dark.addEventListener("change", paint);
document.body.append(viewer);

function paint() {
  const attributes = { ...FIXED, ...(dark.matches ? DARK : LIGHT) };
  Object.entries(attributes).forEach(([name, value]) => viewer.setAttribute(name, value));
}

/** The way back to the page. */
function brand() {
  const link = document.createElement("a");
  Object.assign(link, { slot: "nav-logo", href: "/", className: "docs-brand" });
  const logo = Object.assign(document.createElement("img"), { src: "/static/logo.svg", alt: "", width: 28, height: 28 });
  link.append(logo, "Slideloom");
  return link;
}
