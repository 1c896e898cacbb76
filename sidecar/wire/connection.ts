import { AbuseMeter } from './abuse-meter.ts';
import { ByteAccount } from './byte-account.ts';
import { type ConnectionState, Ending, goAwayPing } from './ending.ts';
import { ConnectionError, type ErrorName, errorNameOf } from './error-code.ts';
import type { ConnectionOptions } from './connection-options.ts';
import { clientPreface, type Frame, frameFlags, frameTypes, readUint31, readUint32 } from './frame.ts';
import { FrameReader, type FrameReceiver } from './frame-reader.ts';
import { type HeaderBlock, HeaderBlocks, stripPadding } from './header-blocks.ts';
import type { HeaderList } from './header-list.ts';
import type { HeaderField } from './hpack/header-field.ts';
import { HeaderEncoder } from './hpack/header-encoder.ts';
import { type LateKind, Liveness, livenessPing, type Watched } from './liveness.ts';
import { Output } from './output.ts';
import { sayHello } from './hello.ts';
import { ReceiveWindow } from './receive-window.ts';
import { applySettings, defaultSettings, settingsCount, windowBytesDefault } from './settings.ts';
import type { Stream, StreamConsumer } from './stream.ts';
import { StreamTable } from './stream-table.ts';

/** One HTTP/2 connection, either side of it: RFC 9113. */
export class Connection implements FrameReceiver, Watched {
  readonly #options: ConnectionOptions;
  readonly #account: ByteAccount;
  readonly #reader: FrameReader;
  readonly #blocks: HeaderBlocks;
  readonly #output: Output;
  readonly #streams: StreamTable;
  readonly #liveness: Liveness;
  readonly #receiveWindow: ReceiveWindow;
  readonly #resets: AbuseMeter;
  readonly #controlFrames: AbuseMeter;
  readonly #ending: Ending;
  readonly #peer = defaultSettings();
  #hasSettings = false;
  #error: Error | undefined;
  framesReceived = 0;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    const { limits, clock, socket, turn, pool, repeated, acceptor } = options;
    const account = (this.#account = new ByteAccount(options.budget));
    const preface = acceptor === undefined ? Buffer.alloc(0) : clientPreface;
    this.#reader = new FrameReader(this, { frameBytesMax: limits.frameBytesMax, preface });
    this.#blocks = new HeaderBlocks(limits, account);
    const keepsBuffers = 'encrypted' in socket;
    const onPassed = (): void => this.#drained();
    this.#output = new Output({ socket, turn, pool, keepsBuffers, onPassed }, this.#peer.frameBytesMax);
    this.#receiveWindow = new ReceiveWindow(Math.max(limits.connectionWindowBytes, windowBytesDefault));
    const monotonicMs = (): number => clock.monotonicMs();
    this.#resets = new AbuseMeter(limits.resets, { monotonicMs, what: 'streams that are reset' });
    this.#controlFrames = new AbuseMeter(limits.controlFrames, { monotonicMs, what: 'frames that carry nothing' });
    this.#streams = new StreamTable({
      limits,
      output: this.#output,
      encoder: new HeaderEncoder({
        tableBytesMax: Math.min(limits.headerTableBytes, this.#peer.headerTableBytes),
        repeated,
      }),
      peer: this.#peer,
      isServer: acceptor !== undefined,
      receiveWindow: this.#receiveWindow,
      account,
      onOverflow: () => this.#overflow(),
      onRoom: () => options.onRoom?.(),
      onEmpty: () => {
        options.onBusy?.(false);
        this.#ending.endIfDone();
      },
      onMoved: () => this.#liveness.moved(),
    });
    this.#ending = new Ending({
      socket,
      clock,
      limits,
      output: this.#output,
      streams: this.#streams,
      isServer: acceptor !== undefined,
      hasHeard: () => this.#hasSettings,
    });
    this.#liveness = new Liveness(this, clock, limits);
    this.#start();
  }

  get isOver(): boolean {
    return this.#ending.isOver;
  }
  get state(): ConnectionState {
    return this.#ending.state;
  }

  get isClient(): boolean {
    return this.#options.acceptor === undefined;
  }
  get hasStreams(): boolean {
    return this.#streams.count > 0;
  }
  get newestStreamId(): number {
    return this.#streams.newestId;
  }

  /** Whether the peer has said what it must say first. */
  get hasHeard(): boolean {
    return this.#hasSettings;
  }

  get isUnfinished(): boolean {
    return !this.#hasSettings || this.#reader.isInside || this.#blocks.openStreamId !== 0;
  }

  get backlogBytes(): number {
    return this.#output.backlogBytes;
  }
  get passedOnBytes(): number {
    return this.#output.passedOnBytes;
  }
  get queuedBytes(): number {
    return this.#streams.queuedBytes;
  }

  /** How many more streams we may open now (a client's). */
  get streamsLeft(): number {
    if (this.state !== 'serving') return 0;
    const { streamsMaxAssumed = Number.POSITIVE_INFINITY } = this.#options;
    return (this.#hasSettings ? this.#peer.streamsMax : streamsMaxAssumed) - this.#streams.count;
  }

  /** Opens a stream (a client's); its consumer hears of everything, also when the connection breaks. */
  open(fields: readonly HeaderField[], isLast: boolean, consumer: StreamConsumer): Stream {
    if (!this.hasStreams) this.#options.onBusy?.(true);
    const stream = this.#streams.open();
    stream.consumer = consumer;
    if (this.#streams.areIdsSpent) this.#ending.openNoMore();
    stream.sendHeaders(fields, isLast);
    return stream;
  }

  #start(): void {
    const { socket, limits, acceptor } = this.#options;
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('drain', () => this.#drained());
    socket.on('end', () => socket.destroy());
    socket.on('error', (error) => (this.#error ??= error));
    socket.on('close', () => this.#closed());
    sayHello(this.#output, limits, acceptor !== undefined);
  }

  #read(chunk: Buffer): void {
    if (this.isOver) return;
    this.#liveness.heard();
    this.#output.hold();
    try {
      this.#reader.read(chunk);
      this.#streams.readEnded();
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#output.release();
    }
    // Who does not read what it asks for is not read from.
    if (this.#output.backlogBytes > 2 * this.#streams.backlogBytesMax) this.#output.pauseReading();
  }

  #drained(): void {
    this.#options.socket.resume();
    this.#output.hold();
    this.#streams.pump();
    this.#output.release();
  }

  receive(frame: Frame): void {
    this.framesReceived++;
    const { openStreamId } = this.#blocks;
    if (openStreamId !== 0 && (frame.type !== frameTypes.CONTINUATION || frame.streamId !== openStreamId))
      throw new ConnectionError('PROTOCOL_ERROR', 'another frame inside of a header block');
    if (!this.#hasSettings && (frame.type !== frameTypes.SETTINGS || (frame.flags & frameFlags.ACK) !== 0))
      throw new ConnectionError('PROTOCOL_ERROR', 'the first frame is not SETTINGS');
    switch (frame.type) {
      case frameTypes.DATA:
        return this.#receiveData(frame);
      case frameTypes.HEADERS:
        return this.#receiveHeaders(frame);
      case frameTypes.CONTINUATION:
        return this.#receiveContinuation(frame);
      case frameTypes.WINDOW_UPDATE:
        return this.#receiveWindowUpdate(frame);
      case frameTypes.RST_STREAM:
        return this.#receiveReset(frame);
      case frameTypes.SETTINGS:
        return this.#receiveSettings(frame);
      case frameTypes.PING:
        return this.#receivePing(frame);
      case frameTypes.GOAWAY:
        return this.#receiveGoAway(frame);
      case frameTypes.PRIORITY:
        return this.#receivePriority(frame);
      case frameTypes.PUSH_PROMISE:
        throw new ConnectionError('PROTOCOL_ERROR', 'a push, which nobody asked for');
      default:
        // §5.5: unknown frames are ignored, but not for nothing.
        this.#controlFrames.count();
    }
  }

  #receiveData(frame: Frame): void {
    const bytes = frame.end - frame.start;
    // §6.9.1: also what is ignored counts.
    if (!this.#receiveWindow.take(bytes))
      throw new ConnectionError('FLOW_CONTROL_ERROR', 'more data than the window of the connection allows');
    const stream = this.#streams.receiverOf(frame.streamId);
    if (stream === undefined) {
      const isGivenUp = this.#streams.dropData(frame.streamId, bytes);
      stripPadding(frame);
      // A window full of small messages may be under way when we give up a stream: that is nobody's fault.
      return isGivenUp && frame.end > frame.start ? undefined : this.#controlFrames.count();
    }
    if (!stream.receiveWindow.take(bytes)) return this.#refuse(stream, 'FLOW_CONTROL_ERROR');
    stream.heldBytes += bytes;
    stripPadding(frame);
    const { buffer, start, end } = frame;
    const isLast = (frame.flags & frameFlags.END_STREAM) !== 0;
    // Nothing but padding is nothing, too.
    if (start === end && !isLast) this.#controlFrames.count();
    // §8.1: also of a response, the body comes after the header list.
    if (!stream.mayHaveBody || !stream.countBody(end - start, isLast)) return this.#refuse(stream, 'PROTOCOL_ERROR');
    if (bytes > end - start) stream.used(bytes - (end - start));
    const { consumer } = stream;
    if (isLast) stream.advance('ended_remote');
    consumer?.data(buffer, start, end, isLast);
    stream.countHeld();
  }

  #receiveHeaders(frame: Frame): void {
    if (frame.streamId === 0) throw new ConnectionError('PROTOCOL_ERROR', 'HEADERS on stream 0');
    const block = this.#blocks.begin(frame);
    if (block !== undefined) this.#takeBlock(block);
  }

  #receiveContinuation(frame: Frame): void {
    if (this.#blocks.openStreamId === 0)
      throw new ConnectionError('PROTOCOL_ERROR', 'CONTINUATION without a header block');
    const block = this.#blocks.goOn(frame);
    if (block !== undefined) this.#takeBlock(block);
  }

  #takeBlock({ streamId, isLast, list, dependsOnItself }: HeaderBlock): void {
    const { acceptor } = this.#options;
    const known = this.#streams.find(streamId);
    if (known !== undefined) return this.#takeLaterBlock(known, list, isLast);
    const isNew = acceptor !== undefined && this.#streams.isNewFromPeer(streamId);
    if (!isNew) {
      this.#streams.refuseHeaders(streamId);
      if (!this.#streams.expectsLateFrame()) this.#controlFrames.count();
      return;
    }
    // Legal, and refused with a status; but every one of them is work.
    if (list.isTooLarge) this.#resets.count();
    // After the second GOAWAY new streams are not ours to answer (§6.8).
    if (this.#streams.isPastLast(streamId)) return;
    const stream = this.#streams.accept(streamId);
    if (this.#streams.isFull) return this.#refuse(stream, 'REFUSED_STREAM');
    // Not only its fault: others have taken what there is beyond its own.
    if (this.#account.isSpent) return stream.reset('REFUSED_STREAM');
    const problem = list.isTooLarge ? undefined : list.problemAs('request');
    if (dependsOnItself || problem !== undefined) return this.#refuse(stream, 'PROTOCOL_ERROR');
    stream.bodyBytesLeft = list.contentLength;
    if (isLast && !stream.countBody(0, true)) return this.#refuse(stream, 'PROTOCOL_ERROR');
    if (isLast) stream.advance('ended_remote');
    acceptor?.accept(stream, list, isLast);
  }

  #takeLaterBlock(stream: Stream, list: HeaderList, isLast: boolean): void {
    const error = this.#streams.takeLaterHeaders(stream, list, isLast);
    if (error !== undefined) return this.#refuse(stream, error);
    const { consumer } = stream;
    if (isLast) stream.advance('ended_remote');
    consumer?.headers(list, isLast);
  }

  #receiveWindowUpdate(frame: Frame): void {
    if (frame.end - frame.start !== 4) throw new ConnectionError('FRAME_SIZE_ERROR', 'WINDOW_UPDATE is 4 bytes');
    if (!this.#streams.expectsWindowUpdate()) this.#controlFrames.count();
    const increment = readUint31(frame.buffer, frame.start);
    if (this.#streams.growWindow(frame.streamId, increment) !== undefined) this.#resets.count();
  }

  #receiveReset(frame: Frame): void {
    if (frame.end - frame.start !== 4) throw new ConnectionError('FRAME_SIZE_ERROR', 'RST_STREAM is 4 bytes');
    this.#streams.assertOpened(frame.streamId, 'RST_STREAM');
    const stream = this.#streams.find(frame.streamId);
    if (stream === undefined) {
      if (!this.#streams.expectsLateFrame()) this.#controlFrames.count();
      return;
    }
    // A flood of requests that are reset at once (CVE-2023-44487) makes work which nobody waits for.
    if (this.#options.acceptor !== undefined) this.#resets.count();
    stream.close('reset', errorNameOf(readUint32(frame.buffer, frame.start)));
  }

  #receiveSettings(frame: Frame): void {
    if (frame.streamId !== 0) throw new ConnectionError('PROTOCOL_ERROR', 'SETTINGS on a stream');
    if ((frame.flags & frameFlags.ACK) !== 0) {
      if (frame.end > frame.start) throw new ConnectionError('FRAME_SIZE_ERROR', 'an acknowledgement with settings');
      this.#blocks.settingsTaken();
      return this.#controlFrames.count();
    }
    const count = settingsCount(frame.end - frame.start);
    this.#hasSettings = true;
    // One more for the frame itself, whose answer is work too.
    for (let index = 0; index <= count; index++) this.#controlFrames.count();
    const { streamWindowBytes } = this.#peer;
    const headerTableBytesMin = applySettings(this.#peer, frame.buffer, frame.start, frame.end);
    this.#streams.settingsChanged(this.#peer.streamWindowBytes - streamWindowBytes, headerTableBytesMin);
    this.#output.settingsAck();
    this.#options.onRoom?.();
  }

  #receivePing(frame: Frame): void {
    if (frame.streamId !== 0) throw new ConnectionError('PROTOCOL_ERROR', 'PING on a stream');
    if (frame.end - frame.start !== 8) throw new ConnectionError('FRAME_SIZE_ERROR', 'PING is 8 bytes');
    this.#controlFrames.count();
    if ((frame.flags & frameFlags.ACK) === 0) return this.#output.pingAck(frame.buffer, frame.start);
    const isGoAway = frame.buffer.compare(goAwayPing, 0, 8, frame.start, frame.end) === 0;
    if (isGoAway) this.#ending.saidFirst();
  }

  #receiveGoAway(frame: Frame): void {
    if (frame.streamId !== 0) throw new ConnectionError('PROTOCOL_ERROR', 'GOAWAY on a stream');
    if (frame.end - frame.start < 8) throw new ConnectionError('FRAME_SIZE_ERROR', 'GOAWAY is 8 bytes at least');
    this.#controlFrames.count();
    this.#ending.openNoMore();
    // §6.8: what we opened after the last that the peer took was not processed, and may be tried elsewhere.
    this.#streams.dropOwnAfter(readUint31(frame.buffer, frame.start));
    this.#ending.endIfDone();
  }

  #receivePriority(frame: Frame): void {
    if (frame.streamId === 0) throw new ConnectionError('PROTOCOL_ERROR', 'PRIORITY on stream 0');
    this.#controlFrames.count();
    const stream = this.#streams.find(frame.streamId);
    const isWrongSize = frame.end - frame.start !== 5;
    const dependsOnItself = !isWrongSize && readUint31(frame.buffer, frame.start) === frame.streamId;
    if (!isWrongSize && !dependsOnItself) return;
    const error = isWrongSize ? 'FRAME_SIZE_ERROR' : 'PROTOCOL_ERROR';
    // An idle stream must not be reset (§6.4), and an error of a stream may be one of the connection (§5.4.2).
    if (stream === undefined) throw new ConnectionError(error, 'PRIORITY of a wrong size, or on itself');
    this.#refuse(stream, error);
  }

  /** Resets a stream for what the peer did. */
  #refuse(stream: Stream, error: ErrorName): void {
    stream.reset(error);
    if (this.#options.acceptor !== undefined) this.#resets.count();
  }

  /** A stream was reset for what its peer makes us hold. Not while a frame is received: nobody would catch what is thrown. */
  #overflow(): void {
    if (this.#options.acceptor === undefined) return;
    try {
      this.#resets.count();
    } catch (error) {
      this.#fail(error);
    }
  }

  askForLife(): void {
    this.#output.ping(livenessPing, 0);
  }

  late(what: LateKind): void {
    if (what === 'no_window') return this.#streams.resetStalled('ENHANCE_YOUR_CALM');
    // Nobody listens: closing in order would wait for who does not answer.
    this.#error ??= new Error(`the peer is late: ${what}`);
    this.#options.socket.destroy();
  }

  /** Ends the connection once its streams have ended. */
  drain(): void {
    this.#ending.drain();
  }

  /** Ends the connection now: streams under way are over, what has been sent goes out. */
  end(): void {
    this.#ending.end('NO_ERROR');
  }

  #fail(error: unknown): void {
    const code = error instanceof ConnectionError ? error.code : 'INTERNAL_ERROR';
    this.#error ??= error instanceof Error ? error : new Error('a consumer failed', { cause: error });
    this.#ending.end(code, error instanceof ConnectionError ? error.message : '');
  }

  #closed(): void {
    this.#ending.closed();
    this.#liveness.stop();
    this.#streams.closeAll('CONNECT_ERROR');
    this.#blocks.close();
    this.#account.close();
    this.#options.onClosed(this.#error);
  }
}
