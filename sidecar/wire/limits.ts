import type { Allowance } from './abuse-meter.ts';

/** Bounds of an engine; tests and other products give others. */
export type WireLimits = {
  /** Largest frame we take: what every peer may send (RFC 9113 §4.2). */
  readonly frameBytesMax: number;
  /** Streams that a peer may have open at a time. */
  readonly streamsMax: number;
  /** What a peer may send on one stream before it is used: our SETTINGS_INITIAL_WINDOW_SIZE. */
  readonly streamWindowBytes: number;
  /** The same for all streams of a connection together. */
  readonly connectionWindowBytes: number;
  /** What the compression of headers may take of memory, each way. */
  readonly headerTableBytes: number;
  /** Largest list of headers, counted as RFC 9113 §6.5.2 does. */
  readonly headerListBytesMax: number;
  /** Largest header block on the wire, and the most frames it may come in. */
  readonly headerBlockBytesMax: number;
  readonly headerBlockFramesMax: number;
  /**
   * What a socket may hold of data for a peer that does not read. With twice as much, which answers without data make, nothing
   * more is taken from that peer: not with as much, or two engines full of data for each other would both stop reading.
   */
  readonly backlogBytesMax: number;
  /** What one stream may hold that waits for a window, before its sender is told to wait. */
  readonly streamBacklogBytes: number;
  /** What all streams of a connection may hold: answers that wait for windows, and messages that are not whole; then streams are reset. */
  readonly heldBytesMax: number;
  /** The same for all connections of a server, or a client, together, with their streams; as much again in their sockets. */
  readonly heldBytesMaxOfAll: number;
  /** A server's: what each connection may hold of that, with its streams, whatever the others do; besides what all of them share. */
  readonly ownBytes: number;
  /** Closed streams of which late frames are told apart. */
  readonly closedStreamsKept: number;
  /** Streams that a peer may reset, or have reset by its errors. */
  readonly resets: Allowance;
  /** SETTINGS, PING, PRIORITY, unknown and empty frames: what makes work and carries nothing. */
  readonly controlFrames: Allowance;
  /** How long the beginning of a connection, a frame or a header block may wait for its rest, ms. */
  readonly unfinishedMsMax: number;
  /** How often a silent peer is asked whether it is there, ms; as long may the answer take. */
  readonly keepaliveMs: number;
  /** How long a connection without streams is kept, ms. */
  readonly idleMsMax: number;
  /** How long a peer may read nothing of what waits for it, ms. */
  readonly stallMsMax: number;
  /** How long a connection lives before it is drained, ms; undefined: for ever. */
  readonly ageMsMax: number | undefined;
  /** The last id of a stream that a client opens: then it goes on over another connection (RFC 9113 §5.1.1). */
  readonly ownStreamIdMax: number;
  /** A client's: calls that wait for a stream while the server takes no more. */
  readonly waitingMax: number;
  /** A client's, to one server; those that drain do not count: each has a call under way, maybe for hours, and takes no other. */
  readonly connectionsMax: number;
  /** A server's, of all clients together: one more is told to go away. */
  readonly connectionsTakenMax: number;
  /** Connections that are told so, until they have gone; beyond that they are closed without a word. */
  readonly connectionsRefusedMax: number;
  /** Between the two GOAWAYs of a graceful end, when the peer answers no PING, ms. */
  readonly goAwayMs: number;
};

export const wireLimits: WireLimits = {
  frameBytesMax: 16_384,
  /** About 1 KB each with its call: 10 MB a connection at the worst. */
  streamsMax: 10_000,
  /** A round trip of 1 ms at 256 MB/s; four streams fill the connection's window. */
  streamWindowBytes: 256 * 1024,
  connectionWindowBytes: 1024 * 1024,
  /** The default of RFC 9113: 128 fields at the most. */
  headerTableBytes: 4_096,
  /** What grpc allows by default in C and Go: 16 KiB. */
  headerListBytesMax: 16 * 1024,
  /** Huffman code never makes a list of 16 KiB larger than 60 KiB (30 bits for 8); four full frames, and some small ones. */
  headerBlockBytesMax: 64 * 1024,
  headerBlockFramesMax: 16,
  /** 256 KiB: a socket of Linux has as much again. */
  backlogBytesMax: 256 * 1024,
  streamBacklogBytes: 64 * 1024,
  /** A message of 16 MiB each way. */
  heldBytesMax: 33 * 1024 * 1024,
  /** Two connections that hold nearly all they may, or 65,536 streams that hold nothing. */
  heldBytesMaxOfAll: 64 * 1024 * 1024,
  /**
   * 32 streams that hold nothing, or a call that is passed on (17 KiB) and 15 more: enough to be answered while a few clients have
   * taken all that is shared, for whoever wants more is told to come again. 64 MiB of 2,048 connections.
   */
  ownBytes: 32 * 1024,
  /** 640 B a connection. */
  closedStreamsKept: 128,
  /** What nghttp2 allows: a client may cancel a thousand calls at once, and then 33 each second. */
  resets: { burst: 1_000, perSecond: 33 },
  /** A client pings every 10 s; one that probes bandwidth does for each 10th of a second or so. */
  controlFrames: { burst: 1_000, perSecond: 100 },
  unfinishedMsMax: 10_000,
  /** A dead peer is found within a minute. */
  keepaliveMs: 20_000,
  /** Half an hour: an app beside us may be asleep for a while. */
  idleMsMax: 30 * 60_000,
  stallMsMax: 30_000,
  ageMsMax: undefined,
  /** 15 hours at 20,000 calls/s. */
  ownStreamIdMax: 0x7fffffff,
  /** 0.5 KiB each besides the message, which its caller holds anyway: 32 MiB. */
  waitingMax: 65_536,
  /** 8 of 100 streams, the least that servers allow, carry 800 calls at a time. */
  connectionsMax: 8,
  /**
   * What nobody has shared out takes at the worst 10 KiB for being there, 16 KiB for the beginning of a frame, and 8 KiB for the
   * tables: 34 KiB, 68 MiB of them all. 256 of them have 256 KiB each in their sockets; beyond that they share 64 MiB. With what
   * they hold, 64 MiB of their own and 64 MiB that they share, that is 260 MiB, if all of them want the worst.
   */
  connectionsTakenMax: 2_048,
  /** For a second each: 64 more descriptors. */
  connectionsRefusedMax: 64,
  goAwayMs: 1_000,
};

/** What a stream takes with its call while nothing is held for it. */
export const streamBytes = 1_024;
/** Largest frame we send, whatever the peer takes: the others on the connection wait for it. */
export const sentFrameBytesMax = 16_384;
/**
 * WINDOW_UPDATE frames that a peer has reason to send, beyond the control frames that it may: for each stream, and for each DATA
 * frame of ours read in ten pieces; both times for the stream and for the connection. It is what Envoy allows.
 */
export const windowUpdatesPerStream = 2;
export const windowUpdatesPerDataFrame = 20;
/** What a server may still say of a call that its client gave up, besides DATA: a response, trailers, a reset. */
export const lateFramesPerStream = 3;
/** The least that RFC 9113 §6.5.2 recommends a server to allow; what nghttp2 begins with, too. */
export const streamsMaxAssumed = 100;
/** What a connection gathers before it writes: two frames of the largest kind, and what surrounds them. */
export const outputBufferBytes = 36 * 1024;
/** Kept for the next that writes: 576 KiB; in one turn of the loop few connections have something to say. */
export const outputBuffersKept = 16;
