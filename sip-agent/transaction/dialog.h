/*
 * Dialogs (RFC 3261 section 12).  Dialogs are kept as rows of the database;
 * this only reads and writes their values.
 */
#ifndef DIALOG_H
#define DIALOG_H

#include <re.h>

struct buf;
struct pg_answer;

enum {
	DIALOG_NO_CSEQ = -1,
};

/** All pointers are borrowed; a value that is not set is unknown */
struct dialog {
	struct pl call_id, local_tag, remote_tag;
	struct pl local_uri, remote_uri;
	struct pl local_target;	 /**< our Contact's URI */
	struct pl remote_target; /**< the other side's: the Request-URI */
	struct pl route;	 /**< as Route has it; not set: none */
	int64_t local_cseq;	 /**< of our last request, DIALOG_NO_CSEQ */
	int64_t remote_cseq;	 /**< of theirs, DIALOG_NO_CSEQ */
};

int dialog_of_request(struct dialog *d, const struct sip_msg *msg);
int dialog_of_answer(struct dialog *d, const struct sip_msg *msg);
int dialog_route(char **routep, const struct sip_msg *msg);
void dialog_of_row(struct dialog *d, const struct pg_answer *ans, int row);
void dialog_json(struct buf *b, const struct dialog *d);
bool dialog_has(const struct dialog *d, const struct sip_msg *msg);
bool dialog_is_in_order(const struct dialog *d, const struct sip_msg *msg);
int dialog_way(char **urip, char **routep, const struct dialog *d);
int dialog_write(struct mbuf *mb, const struct dialog *d, const char *method,
		 const char *route);

#endif
