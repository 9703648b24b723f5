/*
 * The schema version that the programs are written for: what
 * api.schema_version() answers (sql/functions/10_core.sql). A program runs
 * with this one and the next, and refuses any other.
 */
#ifndef SCHEMA_H
#define SCHEMA_H

enum {
	SCHEMA_VERSION = 14,
};

#endif
