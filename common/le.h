/* SPDX-License-Identifier: GPL-2.0-or-later */
/* le.h - little-endian integers at any address: plain loads and stores where the machine allows. */
#ifndef COMMON_LE_H
#define COMMON_LE_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t le16_get(const uint8_t *in)
{
	uint16_t value;

	memcpy(&value, in, sizeof(value));
	return le16toh(value);
}

static inline uint32_t le32_get(const uint8_t *in)
{
	uint32_t value;

	memcpy(&value, in, sizeof(value));
	return le32toh(value);
}

static inline uint64_t le64_get(const uint8_t *in)
{
	uint64_t value;

	memcpy(&value, in, sizeof(value));
	return le64toh(value);
}

static inline void le16_put(uint8_t *out, uint16_t value)
{
	value = htole16(value);
	memcpy(out, &value, sizeof(value));
}

static inline void le32_put(uint8_t *out, uint32_t value)
{
	value = htole32(value);
	memcpy(out, &value, sizeof(value));
}

static inline void le64_put(uint8_t *out, uint64_t value)
{
	value = htole64(value);
	memcpy(out, &value, sizeof(value));
}

#endif
