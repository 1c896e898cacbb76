import type { ByteAccount } from './byte-account.ts';
import { ClosedStreams } from './closed-streams.ts';
import { ConnectionError, type ErrorName } from './error-code.ts';
import type { HeaderList } from './header-list.ts';
import type { HeaderEncoder } from './hpack/header-encoder.ts';
import type { HeaderField } from './hpack/header-field.ts';
import {
  lateFramesPerStream,
  sentFrameBytesMax,
  streamBytes,
  windowUpdatesPerDataFrame,
  windowUpdatesPerStream,
  type WireLimits,
} from './limits.ts';
import type { Output } from './output.ts';
import type { ReceiveWindow } from './receive-window.ts';
import { type Settings, windowBytesDefault, windowBytesMax } from './settings.ts';
import { mayReceive, type StreamEvent } from './stream-state.ts';
import { type DataPiece, Stream, type StreamCarrier } from './stream.ts';
import { StreamsById } from './streams-by-id.ts';

export type StreamTableOptions = {
  readonly limits: WireLimits;
  readonly output: Output;
  readonly encoder: HeaderEncoder;
  /** What the peer has set: read anew each time. */
  readonly peer: Settings;
  /** A server's streams are those of its peer; a client's are its own. Nobody pushes. */
  readonly isServer: boolean;
  readonly receiveWindow: ReceiveWindow;
  readonly account: ByteAccount;
  /** Something was to be held that does not fit. */
  readonly onOverflow: () => void;
  /** A stream has ended. */
  readonly onRoom: () => void;
  readonly onEmpty: () => void;
  readonly onMoved: () => void;
};

/** Header blocks that are shorter than any frame may be are written where they go out from. */
const writtenInPlaceBytesMax = 4_096;

/** The streams of one connection: ids (RFC 9113 §5.1.1), windows (§5.2), and how they share what may be sent. */
export class StreamTable implements StreamCarrier {
  readonly #options: StreamTableOptions;
  readonly #streams = new StreamsById();
  readonly #closed: ClosedStreams;
  /** Streams with something to send that wait for the connection: in the order in which they take turns. */
  readonly #waiting = new Set<Stream>();
  #sendWindow = windowBytesDefault;
  #queuedBytes = 0;
  /** Streams that are over, and still worked for. */
  #lingering = 0;
  #lastId = 0;
  #lastSaid: number | undefined;
  #windowUpdatesExpected = 0;
  #lateFramesExpected = 0;
  #frameBytesMax: number;

  constructor(options: StreamTableOptions) {
    this.#options = options;
    this.#closed = new ClosedStreams(options.limits.closedStreamsKept);
    this.#frameBytesMax = sentFrameBytesMax;
  }

  get count(): number {
    return this.#streams.size;
  }

  /** Whether a new stream is one too many: there are as many as there may be, or those that there are wait for the peer. */
  get isFull(): boolean {
    const { streamsMax, heldBytesMax } = this.#options.limits;
    const count = this.#streams.size + this.#lingering;
    return count > streamsMax || (this.#queuedBytes > heldBytesMax / 2 && this.sendable <= 0);
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Of the streams of the side that opens them, 0 before the first. */
  get newestId(): number {
    return this.#lastId;
  }

  get lastFromPeer(): number {
    return this.#options.isServer ? this.#lastId : 0;
  }

  get isLastSaid(): boolean {
    return this.#lastSaid !== undefined;
  }

  /** Fixes the last stream that will be processed; answers it. */
  sayLast(): number {
    return (this.#lastSaid ??= this.lastFromPeer);
  }

  isPastLast(id: number): boolean {
    return this.#lastSaid !== undefined && id > this.#lastSaid;
  }

  find(id: number): Stream | undefined {
    return id > this.#lastId ? undefined : this.#streams.get(id);
  }

  isNewFromPeer(id: number): boolean {
    return id % 2 === 1 && id > this.#lastId;
  }

  /** A stream that the peer has opened. */
  accept(id: number): Stream {
    this.#lastId = id;
    return this.#add(id);
  }

  /** All that was read has been looked at. A client's streams did not come with it. */
  readEnded(): void {
    if (this.#options.isServer) this.#streams.readEnded();
  }

  /** Whether there is no id for another stream of our own. */
  get areIdsSpent(): boolean {
    return this.#lastId + 2 > this.#options.limits.ownStreamIdMax;
  }

  /** A stream of our own. */
  open(): Stream {
    this.#lastId = this.#lastId === 0 ? 1 : this.#lastId + 2;
    return this.#add(this.#lastId);
  }

  #add(id: number): Stream {
    const { peer, limits, isServer, account } = this.#options;
    const stream = new Stream(id, this, {
      sendWindow: peer.streamWindowBytes,
      receiveWindow: Math.max(limits.streamWindowBytes, windowBytesDefault),
      endsBothWays: isServer,
    });
    this.#streams.add(stream);
    account.charge(streamBytes);
    this.#windowUpdatesExpected += windowUpdatesPerStream;
    if (!isServer) this.#lateFramesExpected += lateFramesPerStream;
    return stream;
  }

  /** Fails on a frame that only a stream which was opened can have. */
  assertOpened(id: number, what: string): void {
    if (id === 0) throw new ConnectionError('PROTOCOL_ERROR', `${what} on stream 0`);
    if (id % 2 === 0 || id > this.#lastId) {
      if (!this.isPastLast(id) || id % 2 === 0)
        throw new ConnectionError('PROTOCOL_ERROR', `${what} on an idle stream`);
    }
  }

  /** Header blocks that open nothing and belong to no stream. */
  refuseHeaders(id: number): void {
    if (id % 2 === 0) throw new ConnectionError('PROTOCOL_ERROR', 'a stream of the wrong side');
    if (id > this.#lastId) throw new ConnectionError('PROTOCOL_ERROR', 'HEADERS on an idle stream');
    switch (this.#closed.find(id)) {
      case 'our_reset':
        return;
      case 'end':
      case 'their_reset':
        throw new ConnectionError('STREAM_CLOSED', 'HEADERS on a stream that has ended');
      case 'unknown':
        // An answer to a call that was given up may come after many others; a client's ids only grow (§5.1.1).
        if (!this.#options.isServer) return;
        throw new ConnectionError('PROTOCOL_ERROR', 'a stream below the last one');
    }
  }

  /** The stream that takes some data; undefined: there is none, see `dropData`. */
  receiverOf(id: number): Stream | undefined {
    const stream = this.#streams.get(id);
    return stream !== undefined && mayReceive(stream.state) ? stream : undefined;
  }

  /** Data that goes nowhere: the connection's window has it back. Answers whether the peer may not have heard yet that it does not. */
  dropData(id: number, bytes: number): boolean {
    this.assertOpened(id, 'DATA');
    const isGivenUp = this.#isGivenUp(id);
    this.#giveBackToConnection(bytes);
    const stream = this.#streams.get(id);
    if (stream !== undefined) stream.reset('STREAM_CLOSED');
    else if (!isGivenUp && !this.isPastLast(id)) this.#options.output.resetStream(id, 'STREAM_CLOSED');
    return isGivenUp;
  }

  /** Whether a peer may not have heard yet that we take nothing more of a stream. A client forgets what it gave up long ago. */
  #isGivenUp(id: number): boolean {
    if (this.#streams.get(id) !== undefined) return false;
    const closedBy = this.#closed.find(id);
    return closedBy === 'our_reset' || (closedBy === 'unknown' && !this.#options.isServer);
  }

  /** Counts a frame of a stream that is no more; false: it is more than the answers to calls that were given up. */
  expectsLateFrame(): boolean {
    if (this.#lateFramesExpected === 0) return false;
    this.#lateFramesExpected--;
    return true;
  }

  /**
   * Header blocks on a stream that is there: trailers, or of a server its response, and informational ones before it (§8.1).
   * Answers the error that the stream is to be reset with, if it is.
   */
  takeLaterHeaders(stream: Stream, list: HeaderList, isLast: boolean): ErrorName | undefined {
    if (!mayReceive(stream.state)) return 'STREAM_CLOSED';
    if (list.isTooLarge) return 'ENHANCE_YOUR_CALM';
    const isResponse = !this.#options.isServer && list.status !== undefined;
    if (list.problemAs(isResponse ? 'response' : 'trailers') !== undefined) return 'PROTOCOL_ERROR';
    // One response, and trailers after it only; with an end of the stream after any but these, nobody would hear of it.
    if (isResponse === stream.mayHaveBody) return 'PROTOCOL_ERROR';
    const isInformational = list.status?.startsWith('1') === true;
    if (isLast ? isInformational : !isResponse) return 'PROTOCOL_ERROR';
    if (isResponse && !isInformational) {
      stream.mayHaveBody = true;
      stream.bodyBytesLeft = list.contentLength;
    }
    return !isLast || stream.countBody(0, true) ? undefined : 'PROTOCOL_ERROR';
  }

  /** Counts a WINDOW_UPDATE; false: the peer has no reason for it. */
  expectsWindowUpdate(): boolean {
    if (this.#windowUpdatesExpected === 0) return false;
    this.#windowUpdatesExpected--;
    return true;
  }

  /** WINDOW_UPDATE (§6.9); answers the error that the stream was reset with, if it was. */
  growWindow(id: number, increment: number): ErrorName | undefined {
    if (id === 0) {
      if (increment === 0) throw new ConnectionError('PROTOCOL_ERROR', 'WINDOW_UPDATE of 0');
      this.#sendWindow += increment;
      if (this.#sendWindow > windowBytesMax)
        throw new ConnectionError('FLOW_CONTROL_ERROR', 'the window of the connection grows too large');
      this.pump();
      return undefined;
    }
    this.assertOpened(id, 'WINDOW_UPDATE');
    const stream = this.#streams.get(id);
    if (stream === undefined) return undefined;
    stream.sendWindow += increment;
    const error =
      increment === 0 ? 'PROTOCOL_ERROR' : stream.sendWindow > windowBytesMax ? 'FLOW_CONTROL_ERROR' : undefined;
    if (error !== undefined) stream.reset(error);
    else stream.pump(Number.POSITIVE_INFINITY);
    return error;
  }

  /** The peer has set something: §6.9.2 changes the windows of all streams by a difference. */
  settingsChanged(windowDifference: number, headerTableBytesMin: number): void {
    const { peer, encoder, output } = this.#options;
    encoder.allowTable(headerTableBytesMin);
    encoder.allowTable(peer.headerTableBytes);
    this.#frameBytesMax = Math.min(peer.frameBytesMax, sentFrameBytesMax);
    output.frameBytesMax = this.#frameBytesMax;
    if (windowDifference === 0) return;
    for (const stream of this.#streams.all()) {
      stream.sendWindow += windowDifference;
      if (stream.sendWindow > windowBytesMax)
        throw new ConnectionError('FLOW_CONTROL_ERROR', 'the window of a stream grows too large');
      if (windowDifference > 0) stream.pump(Number.POSITIVE_INFINITY);
    }
  }

  /** Our streams that the peer says it has not looked at. */
  dropOwnAfter(id: number): void {
    if (this.#options.isServer) return;
    for (const stream of this.#streams.all()) if (stream.id > id) stream.close('reset', 'REFUSED_STREAM');
  }

  closeAll(error: ErrorName): void {
    for (const stream of this.#streams.all()) stream.close('reset', error);
  }

  /** Resets the streams whose peer has not opened a window for what waits. */
  resetStalled(error: ErrorName): void {
    for (const stream of this.#streams.all()) if (stream.queuedBytes > 0) stream.reset(error);
  }

  /** Lets those that wait send in turns, one frame each, until the window or the socket is full. */
  pump(): void {
    for (const stream of this.#waiting) {
      if (this.sendable <= 0) return this.#options.output.awaitPassing();
      this.#waiting.delete(stream);
      // It comes back to the end of the set, which this loop reaches, if it has more.
      stream.pump(this.#frameBytesMax);
    }
  }

  get sendable(): number {
    return Math.min(this.#sendWindow, this.backlogBytesMax - this.#options.output.backlogBytes);
  }

  /** What the socket may hold of data. */
  get backlogBytesMax(): number {
    const { limits, account } = this.#options;
    return Math.min(limits.backlogBytesMax, account.socketBytes);
  }

  writeHeaders(stream: Stream, fields: readonly HeaderField[], isLast: boolean): void {
    const { encoder, output } = this.#options;
    const bytesMax = encoder.bytesMaxOf(fields);
    if (bytesMax > writtenInPlaceBytesMax) return output.headers(stream.id, encoder.encode(fields), isLast);
    const start = output.beginHeaders(stream.id, bytesMax, isLast);
    output.endHeaders(start, encoder.write(fields, output.buffer, start));
  }

  writeData(stream: Stream, { prefix, bytes, start, end }: DataPiece, isLast: boolean): void {
    const { output } = this.#options;
    let lead = prefix;
    let from = start;
    do {
      const leadBytes = lead?.length ?? 0;
      const to = Math.min(end, from + this.#frameBytesMax - leadBytes);
      const payload = leadBytes + to - from;
      const at = this.#beginFrame(stream, payload, isLast && to === end);
      if (lead !== undefined) output.buffer.set(lead, at);
      output.buffer.set(from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to), at + leadBytes);
      lead = undefined;
      from = to;
    } while (from < end);
    this.#options.onMoved();
  }

  beginData(stream: Stream, bytes: number): number {
    if (bytes > this.#frameBytesMax) return -1;
    this.#options.onMoved();
    return this.#beginFrame(stream, bytes, false);
  }

  /** DATA that is counted: where its payload goes. */
  #beginFrame(stream: Stream, bytes: number, isLast: boolean): number {
    this.#sendWindow -= bytes;
    stream.sendWindow -= bytes;
    this.#windowUpdatesExpected += windowUpdatesPerDataFrame;
    return this.#options.output.data(stream.id, bytes, isLast);
  }

  get output(): Buffer {
    return this.#options.output.buffer;
  }

  writeReset(stream: Stream, error: ErrorName): void {
    this.#options.output.resetStream(stream.id, error);
    this.#closed.add(stream.id, 'our_reset');
  }

  awaitWindow(stream: Stream): void {
    if (stream.sendWindow <= 0) return;
    this.#waiting.add(stream);
    if (this.sendable <= 0) this.#options.output.awaitPassing();
  }

  reserve(bytes: number): boolean {
    const { limits, account, onOverflow } = this.#options;
    const fits = this.#queuedBytes + bytes <= limits.heldBytesMax && account.take(bytes);
    if (fits) this.#queuedBytes += bytes;
    else onOverflow();
    return fits;
  }

  unreserve(bytes: number): void {
    this.#queuedBytes -= bytes;
    this.#options.account.give(bytes);
  }

  giveBack(stream: Stream, bytes: number): void {
    this.#giveBackToConnection(bytes);
    if (!mayReceive(stream.state)) return;
    const increment = stream.receiveWindow.giveBack(bytes);
    if (increment > 0) this.#options.output.windowUpdate(stream.id, increment);
  }

  #giveBackToConnection(bytes: number): void {
    const increment = this.#options.receiveWindow.giveBack(bytes);
    if (increment > 0) this.#options.output.windowUpdate(0, increment);
  }

  closed(stream: Stream, event: StreamEvent): void {
    this.#streams.delete(stream);
    if (this.#waiting.size > 0) this.#waiting.delete(stream);
    if (event !== 'reset') this.#closed.add(stream.id, 'end');
    else if (this.#closed.find(stream.id) === 'unknown') this.#closed.add(stream.id, 'their_reset');
    if (stream.heldBytes > 0) this.#giveBackToConnection(stream.heldBytes);
    stream.heldBytes = 0;
    if (stream.isOccupied) this.#lingering++;
    else this.#options.account.give(streamBytes);
    this.#options.onRoom();
    if (this.#streams.size === 0) this.#options.onEmpty();
  }

  vacated(): void {
    this.#lingering--;
    this.#options.account.give(streamBytes);
  }
}
