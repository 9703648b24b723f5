/*
 * page.h: lists a page at a time: `?limit=&after=`, Link: rel="next"
 * (RFC 8288). Keyset paging: `after` is the last key of the page before.
 */
#ifndef RESTSIP_PAGE_H
#define RESTSIP_PAGE_H

#include "worker/exchange.h"

enum {
	PAGE_LIMIT_DEFAULT = 100,
	PAGE_LIMIT_MAX = 1000,
};

/** What was asked for; in the exchange's state from page_begin() on. */
struct page {
	const char *path;  /* of the list, percent-encoded */
	const char *key;   /* column with a row's key */
	const char *after; /* null: from the beginning */
	int64_t after_n;   /* the same where keys are numbers; 0: none */
	int limit;
	const char *also; /* of the query, for the next page; null: nothing */
};

/**
 * Read limit and after; keep the page in x->state.
 *
 * @param path     borrowed until the answer
 * @param numbers  keys are positive numbers
 * @return null: a problem has been answered
 */
struct page *page_begin(struct exchange *x, const char *path, const char *key,
			bool numbers);

/**
 * Answer with the rows' `doc` as an array. A last row that does not fit says
 * that there is more, for a Link; one whose key is null, that there is nothing.
 */
void page_answer(struct exchange *x, const struct pg_result *res);

/**
 * The same of a list that has a version, in each row's `version`: with an
 * ETag, or 304 (RFC 9110, section 15.4.5).
 */
void page_answer_version(struct exchange *x, const struct pg_result *res);

/**
 * Ask for a page of a list below /user/{email} that has a version, and numbers,
 * the latest first; and answer with it.
 *
 * @param name  of the list, with its slash
 * @param st    its parameters: the caller's, an email, the number that the page
 *              is before (null: the latest), how many
 */
void page_of_account(struct exchange *x, const char *name,
		     const struct pg_stmt *st);

#endif
