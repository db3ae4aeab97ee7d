/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * proto.h - the DST wire protocol, version 1. This file is its written specification.
 *
 * 1. Carrier
 *
 * One connection (TCP, unix stream or vsock stream) carries one lane of one session to one export.
 * Both ends send messages: a fixed 48-byte header, then `payload` bytes. All integers are
 * little-endian. Nothing is aligned to anything but the stream itself; a message follows the one
 * before it without padding. With TLS the stream is encrypted from byte 0: there is no upgrade.
 *
 * 2. Header (one layout for requests, replies and notices)
 *
 *   offset size field
 *        0    4 magic    DST_MAGIC: the bytes 'D' 'S' 'T', then the protocol version (1)
 *        4    1 type     enum dst_type; replies carry the type of their request
 *        5    1 flags    DST_F_*; DST_F_REPLY tells the direction
 *        6    2 status   replies: enum dst_status. Requests: the lag, from 1 on: id - lag is the
 *                        watermark
 *        8    8 id       transaction id, chosen by the client: 1, 2, 3, ... per lane, going on
 *                        over reconnects. 0 for notices, which have no reply. A reply repeats
 *                        its request's id
 *       16    8 offset   first byte of the range in the export, see the table below
 *       24    4 length   bytes in the range, see the table below
 *       28    4 payload  bytes that follow the header
 *       32    8 digest   payload digest (section 4); 0 when payload is 0 or digests are off
 *       40    8 check    header digest (section 4); 0 when digests are off
 *
 * A request and its reply thus cost 96 bytes beside the data. HELLO, PING and CLOSE are not
 * transactions: their id and lag are 1, which says nothing of the watermark; their replies are told
 * by their type, so that at most one of each is in flight.
 *
 * The watermark: the client is done with every id up to it. It neither sends one of them again nor
 * wants an answer to it, so the server may forget them. A lane's watermark never goes back. The
 * lag is at most DST_LAG_FACTOR times the lane's depth (section 5): behind a request that takes
 * long the client holds new ones back, and what a server must remember is bounded.
 *
 * Fields that the table below gives as 0, and flags that it does not give, are 0. A header that
 * breaks a rule of this file comes from a broken or hostile peer: the receiver closes the
 * connection. What a later revision adds is sent only to those who said in HELLO that they know
 * it. A request of a type that the server does not know is answered DST_EOPNOTSUPP, its payload
 * skipped; a client closes on a reply of such a type.
 *
 * 3. Types
 *
 *   type          request: offset, length, payload     reply: offset, length, payload
 *   HELLO         0, 0, attributes                     0, 0, attributes
 *   READ          range, no payload                    0, 0, the data: exactly `length` bytes
 *   WRITE         range, payload = the data            0, 0, none          flags: FUA
 *   FLUSH         0, 0, none                           0, 0, none
 *   DISCARD       range, none                          0, 0, none          flags: FUA
 *   WRITE_ZEROES  range, none                          0, 0, none          flags: FUA, NO_HOLE
 *   EXTENTS       range, none                          0, bytes described, struct dst_extent[]
 *   COPY          destination range, struct dst_copy   0, bytes copied, none
 *   HASH          range, struct dst_hash_seed          0, 0, 16-byte digest
 *   PING          0, 0, none                           0, 0, none
 *   NOTICE        (server to client, id 0) attributes  no reply
 *   CLOSE         0, 0, none                           0, 0, none; then the server closes
 *
 * READ and WRITE carry at most DST_MAX_PAYLOAD bytes and at least 1. The ranges of DISCARD,
 * WRITE_ZEROES, EXTENTS, COPY and HASH are at most DST_MAX_RANGE bytes and at least 1. No range
 * goes past 2^64. Every range must lie within the export, or the request is answered DST_ENOSPC
 * (WRITE, WRITE_ZEROES, COPY's destination) or DST_EINVAL (all others), with nothing done. COPY's
 * source and destination must not overlap, or it is answered DST_EINVAL.
 *
 * An error reply has length 0 and no payload, except HELLO's, which carries DST_ATTR_REASON.
 * EXTENTS may describe less than was asked for, never less than one byte; its extents follow each
 * other from the range's first byte and add up to the reply's length; adjacent extents of equal
 * kind may be reported separately; a kind that the client does not know is data to it. COPY may
 * copy less than was asked for, never 0 with DST_OK.
 *
 * Replies may come in any order, and requests in flight together run in any order: who needs one
 * waits for the answer. WRITE, WRITE_ZEROES, DISCARD and COPY are complete when they are answered:
 * a READ sent later, on any lane, sees them. They are durable when answered if they had FUA, or
 * when a FLUSH that was sent after their answer, on any lane of the session, has been answered
 * with DST_OK. After an error the range's content is undefined. WRITE_ZEROES reads as
 * zeros afterwards; with NO_HOLE the storage stays allocated. DISCARD says that the content is no
 * longer needed; what it reads as is not defined. A server never pretends: what it can't do is
 * answered DST_EOPNOTSUPP.
 *
 * HASH is XXH3-128 with the given 64-bit seed over the range's bytes, in canonical (big-endian)
 * form, as xxHash specifies it.
 *
 * 4. Digests
 *
 * DST_CHECKSUM_XXH3: `digest` is XXH3-64 with seed 0 over the payload; `check` is XXH3-64 over the
 * first 40 bytes of the header, with the seed DST_CHECK_REQUEST for what the client sends and
 * DST_CHECK_REPLY for what the server sends. A wrong `check` means that the framing is lost: the
 * receiver closes the connection. A wrong `digest` concerns that message only: the server answers
 * DST_EBADMSG and has done nothing, as if it had not been sent; the client asks again, with the
 * same id. A HELLO or NOTICE with a wrong digest ends the connection: a notice can't be asked for
 * again, but the next HELLO's answer tells what it told. HELLO and its reply always carry both
 * digests. DST_CHECKSUM_NONE: both are 0.
 *
 * 5. HELLO
 *
 * The first message on each connection, once; its reply is the first that the server sends. Until
 * it has been answered with DST_OK the server reads nothing else, takes at most DST_MAX_HELLO bytes
 * of payload, and waits at most DST_HELLO_TIMEOUT_MS. After any other answer it closes.
 *
 * The magic's first three bytes and the place of the version are the same in all versions. To a
 * HELLO of another version the server answers in its own: a HELLO reply with id 1, DST_EVERSION
 * and DST_ATTR_REASON. A client of another version knows it by its magic.
 *
 * The payload of HELLO, of its reply and of NOTICE is a list of attributes:
 *
 *        0    2 kind     enum dst_attr; with bit 15 (DST_ATTR_MANDATORY) set, a receiver that
 *                        does not know the kind refuses the message with DST_EPROTO and names it
 *        2    2 length   bytes of value
 *        4    n value    padded with zero bytes to a multiple of 4
 *
 * Kinds (without bit 15) ascend, so that each appears at most once. Unknown optional kinds are
 * skipped, and so are known ones that mean nothing to the receiver. Unknown bits of a mask are
 * ignored, except in permissions. Strings are UTF-8 without a final zero byte and without control
 * characters: C0, DEL, C1, line and paragraph separators, embeddings and overrides of direction
 * (U+2028 to U+202E, U+2066 to U+2069). An export's name has no '/' and is not "." or "..".
 *
 * The client asks for permissions (DST_PERM_*), READ among them; the server grants a subset, which
 * must contain READ. A client that asked for WRITE and was granted READ only has a read-only
 * session. The client offers checksums as a bit mask; the server picks one.
 *
 * Depth is how many requests a client has in flight on a lane, PING and CLOSE not counted; beyond
 * it the server may stop reading. The server's limits are at least DST_MAX_PAYLOAD, DST_MAX_RANGE
 * and DST_MIN_DEPTH, so that a client need not split for them; larger ones than this file's are
 * taken as this file's.
 *
 * The session id is a secret between client and server: whoever has it and may use the export can
 * take over a lane. It is drawn anew at each attachment and never shown whole.
 *
 * A connection for a session and lane that already has one replaces it: the server ends the old
 * one, waits until its backend I/O has finished, and only then answers. It never answers two
 * connections of one lane at the same time. So once HELLO is answered, nothing that an older
 * connection of the lane carried can still happen.
 *
 * 6. Exactly once
 *
 * A transaction that changes content (WRITE, DISCARD, WRITE_ZEROES, COPY) runs at most once in the
 * life of a server process, however often it is sent. READ, FLUSH, EXTENTS and HASH change
 * nothing, and may run again. The server keeps, per lane, a record of each one that changes content
 * and is above the watermark: its id, its content (type, flags, range and digest), and, when it has
 * run, its status and length. Sent again,
 *
 *   - one that is running is joined: one answer serves both;
 *   - one that has run is answered from the record;
 *   - one whose id has a record of other content is refused with DST_EFALSE_RETRY;
 *   - one that was refused before it ran (DST_EBADMSG, no permission, …) has no record, and is
 *     looked at anew;
 *   - one that ran before the instance id changed last has lost its record: it runs again.
 *
 * A client that reconnects names in DST_ATTR_PENDING those of them that it has sent and that are not
 * answered, and is told in DST_ATTR_EXECUTED which have run, and how that ended. The rest it sends
 * again, in the order of the ids, with the ids that they had, or with new ones: what
 * DST_ATTR_EXECUTED doesn't name has not run and won't unless it is sent again. PENDING says nothing
 * of the watermark: what changes no content is not in it, and may have a lower id.
 *
 * A session outlives its connections: as long as it holds its export (section 7), or until they have
 * been gone for the export's lease. Its end by CLOSE (section 9) forgets it at once.
 *
 * 7. Epochs: one writer at a time
 *
 * Unless an export is shared (DST_IS_SHARED), one session at a time may write to it: its holder. An
 * export has an epoch: a counter, and a random uuid drawn whenever the counter is raised. Two
 * epochs are the same if both are equal; the order of counters means nothing to a machine. Epoch and
 * holder survive the server; should the server have lost them, it starts with a new, random epoch.
 *
 * A HELLO that asks for WRITE, and is granted it by the rules, carries at most one of
 *
 *   DST_ATTR_EPOCH     "I hold the export since then": it must be the export's epoch now, and the
 *                      session its holder, or the answer is DST_ESTALE: another writer has taken
 *                      over. A client that hears this never tries again by itself.
 *   DST_ATTR_TAKEOVER  the epoch to be replaced: if it is the export's epoch now, this session takes
 *                      over, whoever holds the export. Else the answer is DST_EBUSY. So a takeover
 *                      that was delayed on its way can't undo a later one.
 *   neither            the session takes over if the export has no holder, if the holder's
 *                      connections have been gone (the server has been up) for longer than the
 *                      lease, or is already the holder; else the answer is DST_EBUSY, and
 *                      DST_ATTR_REASON says who holds it and since when.
 *
 * Taking over ends all connections of the old holder, waits until their backend I/O is over, flushes
 * the storage, and makes the raised epoch and the new holder durable, in this order and before the
 * answer. DST_OK for a writer, DST_EBUSY and DST_ESTALE carry DST_ATTR_EPOCH: the export's epoch now,
 * and DST_ATTR_SERVER_ID: what another dstd than the client's says is not about the client's export.
 * A session that was not granted WRITE needs no epoch and holds nothing.
 *
 * 8. Instances and NOTICE
 *
 * An export's instance id changes whenever something that was answered, but not flushed, may be lost:
 * a start after anything but a clean stop (which flushes), and a FLUSH or FUA that failed. It is
 * told in HELLO's answer, and by NOTICE when it changes meanwhile. A client takes nothing that was
 * answered since its last successful FLUSH as durable then: it writes it anew, or fails its
 * next flush. A FLUSH covers what was answered under the instance id that was known to the client
 * when it sent the FLUSH, and only if that is still the one when the answer comes. What was sent
 * before the client knew of the change, and is answered after, counts as answered before it: it may
 * be lost as well, and no later FLUSH covers it. Sent again, it runs again (section 6).
 *
 * NOTICE carries what changed: DST_ATTR_SIZE after a resize, DST_ATTR_PERMISSIONS after a change of
 * rules (when READ is gone the server closes instead), DST_ATTR_INSTANCE. It is sent before the
 * answer to any request that ran after the change, the failed FLUSH itself included.
 *
 * 9. Closing
 *
 * CLOSE asks the server to finish what came before it, answer, and close; nothing follows it. When
 * the last connection of a session ends by CLOSE the session ends, and holds its export no longer. A
 * server that stops sends the replies of all it has begun, then closes; what it has not begun it
 * answers DST_ESHUTDOWN or not at all. Either side may also just close.
 */
#ifndef COMMON_PROTO_H
#define COMMON_PROTO_H

#include <stdint.h>

#define DST_PORT 10878 /* default TCP and vsock port */
#define DST_VERSION 1
#define DST_MAGIC 0x01545344u /* 'D' 'S' 'T' 1 on the wire */

#define DST_HEADER_SIZE 48 /* bytes */
#define DST_CHECKED_SIZE 40 /* header bytes that `check` covers */
#define DST_MAX_PAYLOAD (1u << 20) /* bytes, every implementation must take this much */
#define DST_MAX_RANGE (1u << 30) /* bytes of a range without payload, likewise */
#define DST_MAX_HELLO 16384u /* bytes of attributes, HELLO and its reply, NOTICE */
#define DST_MAX_EXTENTS 1024u /* extents in one reply */
#define DST_MAX_DEPTH 1024u /* transactions in flight on a lane, upper bound */
#define DST_MIN_DEPTH 1u
#define DST_LAG_FACTOR 16u /* lag at most, in depths; 16 bits hold it */
#define DST_MAX_LANES 64u /* lanes of a session */
#define DST_MAX_NAME 255u /* bytes of an export's name */
#define DST_MAX_SIZE INT64_MAX /* bytes of an export */
#define DST_MAX_BLOCK DST_MAX_PAYLOAD /* bytes of the minimum block */
#define DST_MAX_REASON 512u /* bytes of a reason text */
#define DST_MAX_CLIENT_NAME 255u /* bytes of the client's own name */
#define DST_ID_SIZE 16 /* bytes of session, server, export and instance ids */
#define DST_EPOCH_SIZE 24 /* u64 counter, then a uuid of DST_ID_SIZE bytes */
#define DST_EXECUTED_SIZE                                                                          \
	8 /* u16 distance of the id from PENDING's first, u16 status, u32 length */
#define DST_HELLO_TIMEOUT_MS 10000u /* from accept to HELLO's last byte */

#define DST_CHECK_REQUEST 0x7473657571657244ull /* header digest seeds, one a direction */
#define DST_CHECK_REPLY 0x00796c7065725453ull

enum dst_type {
	DST_HELLO = 1,
	DST_READ = 2,
	DST_WRITE = 3,
	DST_FLUSH = 4,
	DST_DISCARD = 5,
	DST_WRITE_ZEROES = 6,
	DST_EXTENTS = 7,
	DST_COPY = 8,
	DST_HASH = 9,
	DST_PING = 10,
	DST_NOTICE = 11,
	DST_CLOSE = 12,
	DST_TYPE_END
};

#define DST_F_REPLY 0x01 /* a reply; absent on requests, present on NOTICE */
#define DST_F_FUA 0x02 /* durable before the answer */
#define DST_F_NO_HOLE 0x04 /* WRITE_ZEROES: keep the storage allocated */
#define DST_F_KNOWN 0x07

/*
 * Status of a reply. Values below 256 are the errors of Linux by their generic numbers, whatever
 * the machine's own are; those from 256 on are the protocol's. A client takes a status that it does
 * not know as DST_EIO and logs its number.
 */
enum dst_status {
	DST_OK = 0,
	DST_EPERM = 1,
	DST_ENOENT = 2,
	DST_EIO = 5,
	DST_ENXIO = 6,
	DST_EAGAIN = 11,
	DST_ENOMEM = 12,
	DST_EACCES = 13,
	DST_EBUSY = 16, /* HELLO: another session holds the export */
	DST_ENODEV = 19,
	DST_EINVAL = 22,
	DST_EFBIG = 27,
	DST_ENOSPC = 28,
	DST_EROFS = 30,
	DST_EBADE = 52, /* a device's reservation conflict */
	DST_ENODATA = 61, /* a device's medium error */
	DST_ENOLINK = 67, /* a device's transport failed */
	DST_EPROTO = 71,
	DST_EBADMSG = 74, /* the payload's digest was wrong; nothing was done */
	DST_EILSEQ = 84, /* a device's protection information does not match */
	DST_EOPNOTSUPP = 95,
	DST_ETIMEDOUT = 110,
	DST_ESTALE = 116, /* HELLO: fenced, another session has taken the export over */
	DST_EUCLEAN = 117, /* the server's file system is damaged */
	DST_EREMOTEIO = 121, /* a device's own failure */
	DST_EDQUOT = 122,
	DST_ENOMEDIUM = 123,
	DST_EUNKNOWN_EXPORT = 256,
	DST_EDENIED = 257, /* an access rule */
	DST_EVERSION = 258,
	DST_ESHUTDOWN = 259, /* the server is stopping */
	DST_EFALSE_RETRY = 260, /* the id was used before, for something else */
};

/*
 * Attribute kinds. The comment gives the value's layout and who sends it. What is mandatory here
 * must be in every HELLO and has bit 15 set; nothing else has it set in this version.
 */
#define DST_ATTR_MANDATORY 0x8000u
enum dst_attr {
	DST_ATTR_EXPORT = 1, /* string, 1..DST_MAX_NAME bytes. client, mandatory */
	DST_ATTR_SESSION = 2, /* DST_ID_SIZE random bytes. client, mandatory */
	DST_ATTR_LANE = 3, /* u32 index from 0, u32 number of lanes. client, mandatory */
	DST_ATTR_PERMISSIONS = 4, /* u32 DST_PERM_*: wanted by the client, granted by the server */
	DST_ATTR_CHECKSUM = 5, /* u32. client: mask of 1 << enum dst_checksum that it offers;
				    * server: the enum dst_checksum that it chose */
	DST_ATTR_CLIENT = 6, /* string: host and mount, for people. client */
	DST_ATTR_SIZE = 7, /* u64 bytes, at most DST_MAX_SIZE. server */
	DST_ATTR_BLOCKS = 8, /* u32 minimum: a power of two up to DST_MAX_BLOCK; u32
				    * preferred: from the minimum to DST_MAX_RANGE. bytes. server */
	DST_ATTR_LIMITS = 9, /* u32 max payload, u32 max range, u32 depth. server */
	DST_ATTR_FEATURES = 10, /* u32 DST_CAN_*. server */
	DST_ATTR_SERVER_ID = 11, /* DST_ID_SIZE bytes: this dstd. server */
	DST_ATTR_EXPORT_UUID = 12, /* DST_ID_SIZE bytes: this export. server */
	DST_ATTR_INSTANCE = 13, /* DST_ID_SIZE bytes: new when unflushed data may be lost. server */
	DST_ATTR_REASON = 14, /* string: why HELLO was refused, one line for people. server */
	DST_ATTR_EPOCH = 15, /* DST_EPOCH_SIZE bytes: held by the client; the export's. both */
	DST_ATTR_TAKEOVER = 16, /* DST_EPOCH_SIZE bytes: the epoch to be replaced. client */
	DST_ATTR_PENDING = 17, /* u64 first id, then for each id, ascending, the first included,
				    * u16 its distance from the first; 1..DST_MAX_DEPTH of them,
				    * all below DST_LAG_FACTOR * DST_MAX_DEPTH. client */
	DST_ATTR_EXECUTED = 18, /* those of PENDING that have run: DST_EXECUTED_SIZE bytes each,
				    * ascending; length is COPY's, else 0. server */
	DST_ATTR_KIND_END
};

#define DST_PERM_READ 0x1u
#define DST_PERM_WRITE 0x2u
#define DST_PERM_KNOWN 0x3u

enum dst_checksum { DST_CHECKSUM_NONE = 0, DST_CHECKSUM_XXH3 = 1, DST_CHECKSUM_END };

#define DST_CAN_DISCARD 0x1u
#define DST_CAN_UNMAP 0x2u /* WRITE_ZEROES without NO_HOLE frees storage */
#define DST_CAN_EXTENTS 0x4u /* EXTENTS tells holes; without it all is data */
#define DST_CAN_COPY 0x8u
#define DST_IS_SHARED 0x10u /* several sessions may write: no holder, no epoch */

/* Payloads with a layout. Sizes in bytes as encoded; see wire.h for the structs in memory. */
#define DST_EXTENT_SIZE 16 /* u64 length, u32 kind (DST_EXTENT_*), u32 zero */
#define DST_EXTENT_DATA 0u
#define DST_EXTENT_HOLE 1u /* reads as zeros, not allocated */
#define DST_COPY_SIZE 8 /* u64 offset of the source; its length is the header's */
#define DST_HASH_SEED_SIZE 8 /* u64 */
#define DST_HASH_SIZE 16

#endif
