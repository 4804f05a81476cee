// A peer of a notebook that does as it is told: `node peer.mjs OPTIONS` takes one command a line
// on standard input, as JSON ({"do": ..., ...}), and answers each with a line: {"result": ...} or
// {"error": ...}. OPTIONS is {"url": WebSocket URL, "room": document id, "empty"?: true} as JSON.
// It ends when standard input does. Positions are UTF-16 units.

import { createInterface } from "node:readline";
import { EphemeralStore, UndoManager } from "loro-crdt";
import { LoroEphemeralAdaptor } from "loro-adaptors/loro";
import * as kit from "./peer_kit.mjs";

const options = JSON.parse(process.argv[2]);
const { client } = await kit.connect(options.url);
const notebook = await kit.join(client, options.room, { isEmpty: options.empty });
const { document } = notebook;
const undo = new UndoManager(document, { mergeInterval: 0 });
const changes = (look) => document.subscribe(look);
let presence;

const commands = {
  cells: () =>
    kit.cellIds(document).map((id) => ({ id, source: kit.sourceOf(document, id).toString() })),

  /** Replace `delete` units at `offset` after the start of `find` (the text's start without it). */
  splice({ cell, find = "", offset = 0, delete: gone = 0, insert = "" }) {
    const source = kit.sourceOf(document, cell);
    const found = source.toString().indexOf(find);
    if (found < 0) throw new Error(`${JSON.stringify(find)} is not in the cell`);
    if (gone) source.delete(found + offset, gone);
    if (insert) source.insert(found + offset, insert);
    document.commit();
    return source.toString();
  },

  append({ cell, text, times = 1 }) {
    const source = kit.sourceOf(document, cell);
    source.insert(source.length, text.repeat(times));
    document.commit();
    return source.length;
  },

  /** Set a key of the cell's metadata, and give all of it. */
  set_metadata({ cell, key, value }) {
    const metadata = document.getMap("cells").get(cell).ensureMergeableMap("metadata");
    if (key !== undefined) metadata.set(key, value);
    document.commit();
    return metadata.toJSON();
  },

  undo() {
    if (!undo.undo()) throw new Error("there was nothing to undo");
    document.commit();
  },

  heads: () => kit.headsOf(document),

  async until_holds({ heads }) {
    await kit.until(changes, () => kit.holds(document, heads), "the other's heads");
    return kit.headsOf(document);
  },

  async until_contains({ cell, text }) {
    const source = () => kit.cellIds(document).includes(cell) && kit.sourceOf(document, cell);
    const isThere = () => source() && source().toString().includes(text);
    await kit.until(changes, isThere, `${JSON.stringify(text.slice(0, 40))} in the cell`);
    return source().toString();
  },

  /** The batches sent since the last call, once each of them has its Ack. */
  async acknowledged() {
    const batches = await kit.acknowledged(options.room);
    return batches.map(({ status, messages, bytes, tookMs }) => ({ status, messages, bytes, tookMs }));
  },

  refusals: () => notebook.refusals,

  /** Close the connection and stay away until `reconnect`. */
  disconnect: () => client.close(),

  reconnect: () => kit.within(client.connect({ resetBackoff: true }), "a connection"),

  /** Wait until the room was lost. */
  until_away: () =>
    kit.until(notebook.onStatus, () => notebook.statuses.at(-1) !== "joined", "a lost room"),

  /** Wait until this peer is in the room again. */
  until_joined: () =>
    kit.until(notebook.onStatus, () => notebook.statuses.at(-1) === "joined", "a room joined"),

  async show({ key, value }) {
    if (!presence) {
      presence = new EphemeralStore();
      const adaptor = new LoroEphemeralAdaptor(presence);
      await kit.within(client.join({ roomId: options.room, crdtAdaptor: adaptor }), "presence");
    }
    if (value === null) presence.delete(key);
    else if (value !== undefined) presence.set(key, value);
    return presence.getAllStates();
  },

  async until_shown({ value }) {
    const isShown = () =>
      Object.values(presence.getAllStates()).some(
        (state) => JSON.stringify(state) === JSON.stringify(value),
      );
    await kit.until((look) => presence.subscribe(look), isShown, `${JSON.stringify(value)} shown`);
  },

  async until_hidden({ value }) {
    const isHidden = () =>
      Object.values(presence.getAllStates()).every(
        (state) => JSON.stringify(state) !== JSON.stringify(value),
      );
    await kit.until((look) => presence.subscribe(look), isHidden, `${JSON.stringify(value)} gone`);
  },

  post: ({ http, token, method, params }) => kit.post({ http, token }, method, params),
};

console.log(JSON.stringify({ result: "joined" }));
for await (const line of createInterface({ input: process.stdin })) {
  const { do: name, ...parameters } = JSON.parse(line);
  try {
    const result = (await commands[name](parameters)) ?? null;
    console.log(JSON.stringify({ result: result === true ? null : result }));
  } catch (error) {
    console.log(JSON.stringify({ error: String(error?.message ?? error) }));
  }
}
client.destroy();
process.exit(0);
