type Json = Record<string, unknown>;

const STYLE = `
:root{color-scheme:light dark;--ink:#1c2024;--soft:#60646c;--line:#e0e1e6;--paper:#fff;--code:#f5f6f8;--accent:#0b68cb}
@media(prefers-color-scheme:dark){:root{--ink:#edeef0;--soft:#b0b4ba;--line:#363a3f;--paper:#111113;--code:#1b1d20;--accent:#70b8ff}}
*{box-sizing:border-box}body{margin:0;font:15px/1.55 system-ui,sans-serif;color:var(--ink);background:var(--paper)}
main{max-width:880px;margin:0 auto;padding:32px 20px 80px}h1{font-size:30px;margin:0 0 4px}h2{margin:44px 0 10px;padding-bottom:6px;border-bottom:1px solid var(--line);font-size:21px}
p.lead{color:var(--soft);margin:0 0 20px}a{color:var(--accent)}nav{display:flex;flex-wrap:wrap;gap:6px 14px;margin:16px 0}
details{border:1px solid var(--line);border-radius:8px;margin:8px 0}summary{cursor:pointer;padding:9px 12px;display:flex;gap:10px;align-items:baseline;flex-wrap:wrap}
summary code{font-size:13.5px}summary span{color:var(--soft);font-size:13.5px}.verb{font:600 11.5px ui-monospace,monospace;min-width:52px;color:var(--accent)}
.body{padding:2px 14px 12px;border-top:1px solid var(--line)}h3{font-size:13px;margin:14px 0 4px;color:var(--soft)}
pre{background:var(--code);border-radius:6px;padding:10px 12px;overflow:auto;font:12.5px/1.5 ui-monospace,monospace;margin:4px 0}table{border-collapse:collapse;width:100%;font-size:14px}td,th{text-align:left;padding:5px 10px 5px 0;border-bottom:1px solid var(--line);vertical-align:top}`;

const escape = (text: unknown): string =>
  String(text).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

/** A page to read, made of the two documents; no script, nothing from elsewhere. */
export function docsPage(openApi: Json, asyncApi: Json): string {
  const operations = operationsOf(openApi);
  const tags = [...new Set(operations.map(({ tag }) => tag))];
  const messages = Object.entries((asyncApi['components'] as Json)['messages'] as Record<string, Json>);
  const link = (name: string): string => name.toLowerCase().replaceAll(' ', '-');
  const section = (title: string, inner: string): string => `<h2 id="${link(title)}">${escape(title)}</h2>${inner}`;
  const events = (prefix: string): string =>
    messages
      .filter(([key]) => key.startsWith(prefix))
      .map(([, message]) => eventBlock(message, asyncApi))
      .join('');
  return `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>Parley API</title><style>${STYLE}</style><main>
<h1>Parley API</h1><p class="lead">REST, Socket.IO, server-sent events and long poll behind one address.
<a href="/v1/openapi.json">openapi.json</a> · <a href="/v1/asyncapi.json">asyncapi.json</a></p>
<nav>${[...tags, 'Socket requests', 'Socket events', 'Errors'].map((tag) => `<a href="#${link(tag)}">${escape(tag)}</a>`).join('')}</nav>
${tags
  .map((tag) =>
    section(
      tag,
      operations
        .filter((operation) => operation.tag === tag)
        .map((operation) => operationBlock(operation, openApi))
        .join(''),
    ),
  )
  .join('')}
${section('Socket requests', `<p>Client to server, each with an acknowledgement <code>{ok: true, …}</code> or <code>{ok: false, error}</code>.</p>${events('client_')}`)}
${section('Socket events', `<p>Server to client.</p>${events('server_')}`)}
${section('Errors', `<p>${markdownCode(String((openApi['info'] as Json)['description']))}</p>`)}
</main></html>`;
}

interface Operation {
  readonly verb: string;
  readonly path: string;
  readonly tag: string;
  readonly of: Json;
}

function operationsOf(openApi: Json): Operation[] {
  return Object.entries(openApi['paths'] as Record<string, Record<string, Json>>).flatMap(([path, verbs]) =>
    Object.entries(verbs).map(([verb, of]) => ({
      verb: verb.toUpperCase(),
      path,
      tag: String((of['tags'] as string[])[0]),
      of,
    })),
  );
}

function operationBlock({ verb, path, of }: Operation, document: Json): string {
  const parameters = of['parameters'] as Json[];
  const body = of['requestBody'] as { content: Record<string, Json> } | undefined;
  const responses = Object.entries(of['responses'] as Record<string, { content?: Record<string, Json> }>).filter(
    ([status]) => status !== 'default',
  );
  return `<details><summary><b class="verb">${verb}</b><code>${escape(path)}</code><span>${markdownCode(String(of['summary']))}</span></summary><div class="body">
${parameters.length === 0 ? '' : `<h3>Parameters</h3><table>${parameters.map((p) => `<tr><td><code>${escape(p['name'])}</code></td><td>${escape(p['in'])}${p['required'] === true ? ', required' : ''}</td><td><code>${escape(shape(p['schema'], document))}</code></td></tr>`).join('')}</table>`}
${body === undefined ? '' : `<h3>Body</h3><pre>${escape(shape(Object.values(body.content)[0]?.['schema'], document))}</pre>`}
${responses.map(([status, { content }]) => `<h3>${status}</h3>${content === undefined ? '<p>No body</p>' : `<pre>${escape(shape(Object.values(content)[0]?.['schema'], document))}</pre>`}`).join('')}
</div></details>`;
}

function eventBlock(message: Json, document: Json): string {
  const acknowledgement = message['x-acknowledgement'];
  return `<details><summary><code>${escape(message['name'])}</code><span>${markdownCode(String(message['summary']))}</span></summary><div class="body">
<h3>Payload</h3><pre>${escape(shape(message['payload'], document))}</pre>
${acknowledgement === undefined ? '' : `<h3>Acknowledgement, beside ok: true</h3><pre>${escape(shape(acknowledgement, document))}</pre>`}</div></details>`;
}

const markdownCode = (text: string): string => escape(text).replaceAll(/`([^`]+)`/g, '<code>$1</code>');

/** A schema as one would write its type. */
function shape(schema: unknown, document: Json, indent = '', depth = 0): string {
  const of = resolve(schema, document);
  if (of === undefined) return 'any';
  if (depth > 5) return '…';
  const variants = (of['anyOf'] ?? of['oneOf']) as unknown[] | undefined;
  if (variants !== undefined) {
    return [...new Set(variants.map((variant) => shape(variant, document, indent, depth + 1)))].join(' | ');
  }
  if (of['const'] !== undefined) return JSON.stringify(of['const']);
  if (Array.isArray(of['enum'])) return of['enum'].map((value) => JSON.stringify(value)).join(' | ');
  if (of['type'] === 'array') return `[${shape(of['items'], document, indent, depth + 1)}, …]`;
  const properties = of['properties'] as Record<string, unknown> | undefined;
  if (of['type'] === 'object' && properties !== undefined) {
    const required = new Set((of['required'] as string[] | undefined) ?? []);
    const lines = Object.entries(properties).map(
      ([name, type]) =>
        `${indent}  ${name}${required.has(name) ? '' : '?'}: ${shape(type, document, `${indent}  `, depth + 1)}`,
    );
    return `{\n${lines.join('\n')}\n${indent}}`;
  }
  return String(of['format'] ?? [of['type'] ?? 'any'].flat().join(' | '));
}

function resolve(schema: unknown, document: Json): Json | undefined {
  if (typeof schema !== 'object' || schema === null) return undefined;
  const of = schema as Json;
  const reference = of['$ref'];
  if (typeof reference !== 'string') return of;
  const schemas = (document['components'] as Json)['schemas'] as Record<string, Json>;
  return schemas[reference.replace('#/components/schemas/', '')];
}
