/* SPDX-License-Identifier: GPL-2.0-or-later */
/* counts.h - what happened in a schedule, and in a batch of them. */
#ifndef TEST_SIM_COUNTS_H
#define TEST_SIM_COUNTS_H

#define COUNT_LIST(X)                                                                              \
	/* The volumes. */                                                                         \
	X(SINGLES, "volumes of a node")                                                            \
	X(MIRRORS, "mirrors")                                                                      \
	X(LINEARS, "linear maps")                                                                  \
	X(STRIPES, "stripes")                                                                      \
	X(MIRRORS_OF_LINEAR, "mirrors of linear maps")                                             \
	X(LINEARS_OF_MIRRORS, "linear maps of mirrors")                                            \
	/* The workload. */                                                                        \
	X(READS, "reads")                                                                          \
	X(WRITES, "writes")                                                                        \
	X(ZEROES, "write-zeroes")                                                                  \
	X(DISCARDS, "discards")                                                                    \
	X(COPIES, "copies")                                                                        \
	X(FLUSHES, "flushes")                                                                      \
	X(HASHES, "hashes")                                                                        \
	X(EXTENTS, "extents")                                                                      \
	X(FUA, "with FUA")                                                                         \
	X(READER_READS, "reads of another client")                                                 \
	X(CANCELS, "cancelled by the caller")                                                      \
	X(ERRORS, "failed upward")                                                                 \
	/* Faults of the network. */                                                               \
	X(STALLS, "network: stalled")                                                              \
	X(RESETS, "network: reset")                                                                \
	X(HALF_CLOSES, "network: half-closed")                                                     \
	X(CORRUPTIONS, "network: corrupted")                                                       \
	X(TRUNCATIONS, "network: truncated")                                                       \
	X(DUPLICATIONS, "network: duplicated")                                                     \
	X(PARTITIONS_ONE, "network: partitioned one way")                                          \
	X(PARTITIONS_BOTH, "network: partitioned both ways")                                       \
	X(NAMES_FAILED, "network: name look-ups failed")                                           \
	/* Faults of machines. */                                                                  \
	X(SERVER_CRASHES, "server: crashed")                                                       \
	X(SERVER_STOPS, "server: stopped cleanly")                                                 \
	X(SERVER_DEATHS, "server: killed while it stored its state")                               \
	X(STATE_ERRORS, "server: state that could not be stored")                                  \
	X(STATE_LOST, "server: state lost")                                                        \
	X(GROWTHS, "server: storage grown")                                                        \
	X(SERVER_FREEZES, "server: frozen")                                                        \
	X(POWER_CUTS, "server: power cut")                                                         \
	X(POWER_CUTS_ALL, "power cut everywhere")                                                  \
	X(TROUBLE, "something dead while a mirror wrote about itself")                             \
	X(ALTERNATIONS, "members down one after the other")                                        \
	X(SECTORS_LOST, "server: sectors lost in power cuts")                                      \
	X(CLIENT_STOPS, "client: stopped in order and started anew")                               \
	X(CLIENT_CRASHES, "client: crashed")                                                       \
	X(CLIENT_POWER_CUTS, "client: power cut")                                                  \
	X(CLIENT_FREEZES, "client: frozen")                                                        \
	X(CLIENT_INTRUDERS, "client: another one started without the right to take over")          \
	X(CLIENT_REATTACHES, "client: attached anew by command")                                   \
	X(CLIENT_FAILS, "client: all operations ended by command")                                 \
	X(CLIENT_TAKEOVERS, "client: another one started beside it")                               \
	X(WITNESS_SAVES, "client: witnesses saved")                                                \
	X(WITNESS_ERRORS, "client: witnesses that could not be saved")                             \
	X(WITNESS_LOST, "client: witnesses undone by a power cut")                                 \
	/* Faults of storage. */                                                                   \
	X(DISK_SLOW, "disk: slow")                                                                 \
	X(DISK_READ_ERRORS, "disk: failed reads")                                                  \
	X(DISK_WRITE_ERRORS, "disk: failed writes")                                                \
	X(DISK_FLUSH_ERRORS, "disk: failed flushes")                                               \
	X(DISK_FULL, "disk: writes without space")                                                 \
	/* Mirrors. */                                                                             \
	X(GENERATIONS, "mirrors: generations raised")                                              \
	X(MEMBERS_LEFT, "mirrors: members in sync that left")                                      \
	X(MEMBERS_LEFT_RESYNC, "mirrors: members that left while they were copied to")             \
	X(MEMBERS_BACK, "mirrors: members that came back")                                         \
	X(MEMBERS_IN_SYNC, "mirrors: members that got in sync")                                    \
	X(DETACHES, "mirrors: clean ends")                                                         \
	X(ALTERNATE, "mirrors: starts refused since what was there was stale")                     \
	X(MIRRORS_REFUSED, "mirrors: starts refused otherwise")                                    \
	X(FORCED, "mirrors: started by force")                                                     \
	X(SPLITS, "mirrors: starts and members refused for a split brain")                         \
	X(RESOLVED, "mirrors: split brains resolved")                                              \
	/* What the code did about it. */                                                          \
	X(CONNECTIONS, "connections accepted")                                                     \
	X(CLIENT_RESENDS, "transactions sent again")                                               \
	X(CLIENT_BAD_DIGESTS, "digests found wrong by a client")                                   \
	X(CLIENT_LATE, "late replies drained")                                                     \
	X(CLIENT_EXECUTED, "transactions found executed at a reconnect")                           \
	X(CLIENT_RECOVERIES, "changes of the instance met by a client")                            \
	X(CLIENT_REPLAYS, "replays")                                                               \
	X(CLIENT_REPLAYED, "pieces written anew by replays")                                       \
	X(CLIENT_LOSSES, "losses admitted by a client")                                            \
	X(CLIENT_FLUSHES, "flushes in the background")                                             \
	X(CLIENT_FENCED, "clients that found themselves fenced")                                   \
	X(TAKEOVERS, "exports that changed hands")                                                 \
	X(SERVER_BAD_DIGESTS, "digests found wrong by the server")                                 \
	X(SERVER_BAD_HEADERS, "headers found wrong by the server")                                 \
	X(SERVER_REFUSED, "connections refused by the server")

enum count {
#define COUNT_ENUM(name, text) COUNT_##name,
	COUNT_LIST(COUNT_ENUM)
#undef COUNT_ENUM
		COUNTS
};

extern const char *const count_texts[COUNTS];

#endif
