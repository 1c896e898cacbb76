import { BlockCache } from './block-cache.ts';
import type { ByteAccount } from './byte-account.ts';
import { ConnectionError } from './error-code.ts';
import { type Frame, frameFlags, readUint31 } from './frame.ts';
import type { HeaderList } from './header-list.ts';
import { HeaderDecoder } from './hpack/header-decoder.ts';
import type { WireLimits } from './limits.ts';

const noBytes = Buffer.alloc(0);

/** A whole header block. One object is used for all of a connection. */
export type HeaderBlock = {
  streamId: number;
  isLast: boolean;
  /** Whether its priority (RFC 7540 §5.3.1) makes the stream depend on itself. */
  dependsOnItself: boolean;
  list: HeaderList;
};

/** Takes the padding off a payload (RFC 9113 §6.1, §6.2): moves the frame's start and end. */
export function stripPadding(frame: Frame): void {
  if ((frame.flags & frameFlags.PADDED) === 0) return;
  if (frame.end - frame.start < 1) throw new ConnectionError('FRAME_SIZE_ERROR', 'a padded frame without its padding');
  frame.end -= frame.buffer[frame.start] as number;
  frame.start++;
  if (frame.end < frame.start) throw new ConnectionError('PROTOCOL_ERROR', 'padding that is longer than its frame');
}

/**
 * Joins HEADERS and CONTINUATION (RFC 9113 §4.3, §6.10) and decodes them. Every block is decoded, also those of streams that
 * are refused: the table of the compression depends on all of them.
 */
export class HeaderBlocks {
  readonly #limits: WireLimits;
  readonly #account: ByteAccount;
  readonly #decoder: HeaderDecoder;
  readonly #cache: BlockCache;
  readonly #block: HeaderBlock;
  #fragments = noBytes;
  #fragmentBytes = 0;
  #frames = 0;

  constructor(limits: WireLimits, account: ByteAccount) {
    this.#limits = limits;
    this.#account = account;
    const decoder = (this.#decoder = new HeaderDecoder({
      tableBytesMax: limits.headerTableBytes,
      listBytesMax: limits.headerListBytesMax,
    }));
    this.#cache = new BlockCache(decoder);
    this.#block = { streamId: 0, isLast: false, dependsOnItself: false, list: decoder.decode(noBytes, 0, 0) };
  }

  /** The stream whose block has begun and not ended: nothing else may come in between. 0: none. */
  get openStreamId(): number {
    return this.#frames > 0 ? this.#block.streamId : 0;
  }

  /** The peer has seen our SETTINGS. */
  settingsTaken(): void {
    this.#decoder.limitTable();
  }

  /** A HEADERS frame; its block, when it is whole. */
  begin(frame: Frame): HeaderBlock | undefined {
    const block = this.#block;
    block.streamId = frame.streamId;
    block.isLast = (frame.flags & frameFlags.END_STREAM) !== 0;
    block.dependsOnItself = false;
    stripPadding(frame);
    if ((frame.flags & frameFlags.PRIORITY) !== 0) {
      if (frame.end - frame.start < 5) throw new ConnectionError('FRAME_SIZE_ERROR', 'HEADERS without its priority');
      block.dependsOnItself = readUint31(frame.buffer, frame.start) === frame.streamId;
      frame.start += 5;
    }
    if ((frame.flags & frameFlags.END_HEADERS) !== 0) return this.#decoded(frame.buffer, frame.start, frame.end);
    this.#add(frame);
    return undefined;
  }

  /** A CONTINUATION frame of the open stream; its block, when it is whole. */
  goOn(frame: Frame): HeaderBlock | undefined {
    this.#add(frame);
    if ((frame.flags & frameFlags.END_HEADERS) === 0) return undefined;
    const fragments = this.#fragments;
    const bytes = this.#fragmentBytes;
    this.close();
    return this.#decoded(fragments, 0, bytes);
  }

  /** Nothing more comes of what has begun. */
  close(): void {
    this.#account.give(this.#fragments.length);
    this.#fragments = noBytes;
    this.#fragmentBytes = 0;
    this.#frames = 0;
  }

  #decoded(buffer: Buffer, start: number, end: number): HeaderBlock {
    this.#block.list = this.#cache.decode(buffer, start, end);
    return this.#block;
  }

  #add({ buffer, start, end }: Frame): void {
    const { headerBlockBytesMax, headerBlockFramesMax } = this.#limits;
    this.#frames++;
    const bytes = this.#fragmentBytes + end - start;
    // A flood of CONTINUATION (CVE-2024-24549 and its like) never ends its block.
    if (this.#frames > headerBlockFramesMax || bytes > headerBlockBytesMax)
      throw new ConnectionError(
        'ENHANCE_YOUR_CALM',
        `a header block of more than ${headerBlockBytesMax} bytes or ${headerBlockFramesMax} frames`,
      );
    if (bytes > this.#fragments.length) {
      const larger = Buffer.allocUnsafeSlow(Math.min(headerBlockBytesMax, Math.max(bytes * 2, 1_024)));
      if (!this.#account.take(larger.length - this.#fragments.length))
        throw new ConnectionError('ENHANCE_YOUR_CALM', 'there is no memory left for a header block in several frames');
      this.#fragments.copy(larger, 0, 0, this.#fragmentBytes);
      this.#fragments = larger;
    }
    buffer.copy(this.#fragments, this.#fragmentBytes, start, end);
    this.#fragmentBytes = bytes;
  }
}
