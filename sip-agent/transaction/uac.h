/*
 * A request that we send, from the choice of its way to its one final answer
 * (RFC 3261 sections 8.1.2, 8.1.3 and 18.1.1).
 */
#ifndef UAC_H
#define UAC_H

#include <re.h>

#include "transaction/uac_request.h"

struct address;
struct agent;
struct uac;

void uac_reason(char dst[static UAC_REASON_SIZE], const struct pl *src);
int uac_alloc(struct uac **up, struct agent *ag, const struct uac_request *req,
	      uac_end_h *h, void *arg);
void uac_set_progress(struct uac *u, uac_progress_h *h);
void uac_start(struct uac *u);
void uac_cancel(struct uac *u, const char *why);
int uac_cancel_encode(const struct uac *u, struct mbuf **mbp);
const struct address *uac_sent_to(const struct uac *u);
bool uac_went_out(const struct uac *u);
void uac_flow_failed(struct uac *u);

#endif
