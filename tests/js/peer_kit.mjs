// What the scripts here share: the official client on a WebSocket whose Acks can be heard, waits
// with an end, and the notebook document as the protocol of Headway lays it out.
//
// The official client shows a refusal to its adaptor and says nothing of a batch that was taken.
// So the WebSocket it is given listens too: it notes each batch that goes out and each Ack that
// comes back. Nothing is changed on the way.

import { LoroAdaptor } from "loro-adaptors/loro";
import { LoroWebsocketClient } from "loro-websocket";
import { decodeFrontiers, encodeFrontiers, LoroDoc } from "loro-crdt";
import { CrdtType, MessageType, tryDecode } from "loro-protocol";
import { WebSocket } from "ws";

/** How long a wait may take, in milliseconds. */
export const LIMIT_MS = 20_000;

/** What `promise` gives, or an error that names what did not come in time. */
export async function within(promise, what, limitMs = LIMIT_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${limitMs} ms: ${what}`)), limitMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits until `isTrue()`, looked at again whenever `subscribe`'s callback is called. */
export async function until(subscribe, isTrue, what) {
  let unsubscribe = () => {};
  const come = new Promise((resolve, reject) => {
    const look = () => {
      try {
        const found = isTrue();
        if (found) resolve(found);
      } catch (error) {
        reject(error);
      }
    };
    unsubscribe = subscribe(look);
    look();
  });
  try {
    return await within(come, what);
  } finally {
    unsubscribe();
  }
}

/** The batches of this process, in the order they were sent: { id, room, kind, ... , status }. */
const batches = new Map();
const ackListeners = new Set();

class HearingWebSocket extends WebSocket {
  constructor(...options) {
    super(...options);
    this.addEventListener("message", ({ data }) => {
      if (typeof data === "string") return;
      const message = tryDecode(new Uint8Array(data));
      const batch = message?.type === MessageType.Ack && batches.get(message.refId);
      if (!batch) return;
      batch.status = message.status;
      batch.tookMs = performance.now() - batch.sentMs;
      for (const listener of [...ackListeners]) listener();
    });
    this.addEventListener("close", () => {
      // Their Acks can come no more; the client compares versions when it is back.
      for (const [id, batch] of batches) if (batch.status === undefined) batches.delete(id);
      for (const listener of [...ackListeners]) listener();
    });
  }

  send(data, ...rest) {
    if (data instanceof Uint8Array) {
      const message = tryDecode(data);
      const fragments = message?.type === MessageType.DocUpdateFragmentHeader;
      if (fragments || message?.type === MessageType.DocUpdate) {
        batches.set(message.batchId, {
          id: message.batchId,
          room: message.roomId,
          crdt: message.crdt,
          messages: fragments ? 1 + message.fragmentCount : 1,
          bytes: fragments ? message.totalSizeBytes : message.updates[0].length,
          sentMs: performance.now(),
        });
      }
    }
    super.send(data, ...rest);
  }
}
// Node 20 has no WebSocket of its own; this is the one that the official packages depend on.
globalThis.WebSocket = HearingWebSocket;

/** The document batches that were sent to `room` since the last call, once all have their Acks. */
export async function acknowledged(room) {
  const ours = () =>
    [...batches.values()].filter((batch) => batch.room === room && batch.crdt === CrdtType.Loro);
  const subscribe = (look) => {
    ackListeners.add(look);
    return () => ackListeners.delete(look);
  };
  const areAnswered = () => ours().every((batch) => batch.status !== undefined);
  await until(subscribe, areAnswered, `every batch for ${room} acknowledged`);
  const answered = ours();
  for (const batch of answered) batches.delete(batch.id);
  return answered;
}

/** A connected client of the server at `url`, and what it complains of. */
export async function connect(url) {
  const errors = [];
  const client = new LoroWebsocketClient({
    url,
    onError: (error) => errors.push(String(error)),
    reconnect: { initialDelayMs: 20, maxDelayMs: 200 },
  });
  await within(client.waitConnected(), `a connection to ${url}`);
  return { client, errors };
}

/** Joins a document and waits until everything the server had is here. */
export async function join(client, roomId, { isEmpty = false } = {}) {
  const document = new LoroDoc();
  document.setRecordTimestamp(true);
  const refusals = [];
  const statuses = [];
  const statusListeners = new Set();
  const adaptor = new LoroAdaptor(document, {
    onUpdateError: (updates, status, reason) => refusals.push({ status, reason }),
    onImportError: (error) => refusals.push({ status: -1, reason: String(error) }),
  });
  const onStatusChange = (status) => {
    statuses.push(status);
    for (const listener of [...statusListeners]) listener();
  };
  const joining = client.join({ roomId, crdtAdaptor: adaptor, onStatusChange });
  const room = await within(joining, `joined ${roomId}`);
  if (!isEmpty) {
    await within(room.waitForReachingServerVersion(), `the server's version of ${roomId}`);
  }
  const onStatus = (look) => {
    statusListeners.add(look);
    return () => statusListeners.delete(look);
  };
  return { document, room, refusals, statuses, onStatus };
}

/** A command of the daemon over HTTP, as any program would send it. */
export async function post({ http, token }, method, params) {
  const response = await fetch(`${http}/api/v1/${method}`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify(params),
    signal: AbortSignal.timeout(LIMIT_MS),
  });
  const body = await response.json();
  if (!response.ok) throw new Error(`${method} was refused: ${JSON.stringify(body)}`);
  return body;
}

/** The document's heads as Headway takes them: a ticket for everything in it. */
export function headsOf(document) {
  return Buffer.from(encodeFrontiers(document.frontiers())).toString("base64");
}

/** Whether the document holds what the ticket stands for. */
export function holds(document, heads) {
  const ends = decodeFrontiers(Buffer.from(heads, "base64"));
  const version = document.oplogVersion();
  return ends.every(({ peer, counter }) => (version.get(peer) ?? 0) > counter);
}

/** The ids of the cells that are shown, in order. */
export function cellIds(document) {
  const cells = document.getMap("cells");
  const isShown = (id) => cells.get(id) && !cells.get(id).get("deleted");
  return [...new Set(document.getMovableList("order").toArray())].filter(isShown);
}

/** The source of a cell: a text whose positions are UTF-16 units here. */
export function sourceOf(document, cellId) {
  const source = document.getMap("cells").get(cellId)?.get("source");
  if (!source) throw new Error(`there is no cell ${cellId}`);
  return source;
}
