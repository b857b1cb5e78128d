import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from 'node:http';

/** RFC 9110 section 7.6.1: between two neighbours only; each hop makes its own. */
const HOP_BY_HOP: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
/** What the client says here is not believed: the chat server trusts these. `expect` was answered already. */
const NOT_TAKEN: ReadonlySet<string> = new Set([
  'expect',
  'forwarded',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-forwarded-proto',
  'x-real-ip',
]);

const NONE: ReadonlySet<string> = new Set();

/** Headers that go from end to end; those that `Connection` names do not. */
export function endToEnd(headers: IncomingHttpHeaders, but: ReadonlySet<string> = NONE): OutgoingHttpHeaders {
  const named = new Set((headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase()));
  const passed: OutgoingHttpHeaders = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || HOP_BY_HOP.has(name) || named.has(name) || but.has(name)) continue;
    passed[name] = value;
  }
  return passed;
}

/** A client's headers as the chat server gets them: with who the client is, as seen here. */
export function forwarded(request: IncomingMessage): OutgoingHttpHeaders {
  const headers = endToEnd(request.headers, NOT_TAKEN);
  headers['x-forwarded-for'] = request.socket.remoteAddress ?? 'unknown';
  headers['x-forwarded-proto'] = 'encrypted' in request.socket ? 'https' : 'http';
  if (request.headers.host !== undefined) headers['x-forwarded-host'] = request.headers.host;
  return headers;
}
