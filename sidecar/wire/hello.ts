import type { WireLimits } from './limits.ts';
import type { Output } from './output.ts';
import { defaultSettings, encodeSettings, windowBytesDefault } from './settings.ts';

/** What each side says first (RFC 9113 §3.4): a client its preface, both their SETTINGS, which are our limits. */
export function sayHello(output: Output, limits: WireLimits, isServer: boolean): void {
  const { headerTableBytes, frameBytesMax, streamsMax, streamWindowBytes, headerListBytesMax, connectionWindowBytes } =
    limits;
  if (!isServer) output.preface();
  output.settings(
    encodeSettings({
      ...(isServer ? { streamsMax } : { isPushEnabled: false }),
      ...(headerTableBytes === defaultSettings().headerTableBytes ? {} : { headerTableBytes }),
      ...(frameBytesMax === defaultSettings().frameBytesMax ? {} : { frameBytesMax }),
      streamWindowBytes,
      headerListBytesMax,
    }),
  );
  // A connection's window is 65,535 at first, whatever the settings (§6.9.2); never smaller.
  if (connectionWindowBytes > windowBytesDefault) output.windowUpdate(0, connectionWindowBytes - windowBytesDefault);
}
