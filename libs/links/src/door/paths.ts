/** What a chat server's door takes, and nothing else: Socket.IO under its own name, event streams and polls. */
const DOOR_PATH = /^\/v1\/(?:chat\/[A-Za-z0-9_-]{1,64}\/socket\.io\/?|events(?:\/poll)?)(?:\?|$)/;
const SOCKET_PATH = /^\/v1\/chat\/[A-Za-z0-9_-]{1,64}\/socket\.io\/?(?:\?|$)/;

export const takesRequest = (url: string | undefined): boolean => DOOR_PATH.test(url ?? '');
export const takesUpgrade = (url: string | undefined): boolean => SOCKET_PATH.test(url ?? '');
