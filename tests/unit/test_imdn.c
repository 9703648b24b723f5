/*
 * Receipts (RFC 5438) as such and within message/cpim (RFC 3862), good and
 * hostile.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/notice/imdn.h"

#define DOC(inner) \
	"<imdn xmlns=\"urn:ietf:params:xml:ns:imdn\">" inner "</imdn>"
#define ID "<message-id>34jk</message-id>"
#define SHOWN \
	"<display-notification><status><displayed/></status>" \
	"</display-notification>"
#define HEAD "From: <sip:a@b>\r\nNS: imdn <urn:ietf:params:imdn>\r\n"

static int read_it(struct imdn *out, const char *type, const char *body)
{
	const char *why = NULL;
	const int err = imdn_read(out, type, strlen(type), body, strlen(body),
				  &why);

	assert_true(err != EBADMSG || why);

	return err;
}

static void assert_receipt(const char *type, const char *body,
			   const char *status)
{
	struct imdn imdn;

	assert_int_equal(read_it(&imdn, type, body), 0);
	assert_true(imdn.is_receipt);
	assert_string_equal(imdn.message_id, "34jk");
	if (status)
		assert_string_equal(imdn.status, status);
	else
		assert_null(imdn.status);
}

static void a_receipt_names_a_message(void **state)
{
	(void)state;
	assert_receipt("message/imdn+xml", DOC(ID SHOWN), "displayed");
	assert_receipt("Message/IMDN+xml ; charset=utf-8",
		       "<?xml version=\"1.0\"?>\n<i:imdn "
		       "xmlns:i=\"urn:ietf:params:xml:ns:imdn\">"
		       "<i:delivery-notification><i:status><i:delivered/>"
		       "</i:status></i:delivery-notification>"
		       "<i:message-id>\n 34jk </i:message-id></i:imdn>",
		       "delivered");
	assert_receipt("message/imdn+xml", DOC(ID), NULL);
	assert_receipt("message/imdn+xml",
		       DOC(ID "<x xmlns=\"urn:x\"><status><displayed/></status>"
			      "</x>"),
		       NULL);
	assert_receipt(
		"message/cpim",
		HEAD "\r\nContent-Type: message/imdn+xml;x=y\r\n"
		     "Content-Disposition: notification\r\n\r\n" DOC(ID SHOWN),
		"displayed");
}

static void other_messages_are_none(void **state)
{
	struct imdn imdn;

	(void)state;
	assert_int_equal(read_it(&imdn, "text/plain", DOC(ID SHOWN)), 0);
	assert_false(imdn.is_receipt);
	assert_string_equal(imdn.message_id, "");
	assert_int_equal(read_it(&imdn, "message/cpim",
				 HEAD "imdn.message-ID:\t34jk \r\n\r\n"
				      "Content-type: text/plain\r\n\r\nhello"),
			 0);
	assert_false(imdn.is_receipt);
	assert_string_equal(imdn.message_id, "34jk");
	assert_int_equal(read_it(&imdn, "message/cpim", "nothing of the sort"),
			 0);
	assert_false(imdn.is_receipt);
	assert_string_equal(imdn.message_id, "");
	assert_int_equal(read_it(&imdn, "message/cpim",
				 HEAD "imdn.Message-ID: \xff\n\n\nx"),
			 0);
	assert_string_equal(imdn.message_id, "");
}

static void what_cannot_be_read_is_refused(void **state)
{
	static const char *const bodies[] = {
		"",
		"<imdn>",
		"<imdn>" ID "</imdn>",
		DOC(SHOWN),
		DOC("<message-id> </message-id>"),
		DOC(ID ID),
		DOC(ID "<a><a><a><a><a><a><a><a><a><a><a><a><a><a><a><a/></a>"
		       "</a></a></a></a></a></a></a></a></a></a></a></a></a>"
		       "</a>"),
		"<!DOCTYPE imdn>" DOC(ID),
	};
	char text[512], id[IMDN_ID_MAX + 2];
	struct imdn imdn;

	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++)
		assert_int_equal(read_it(&imdn, "message/imdn+xml", bodies[i]),
				 EBADMSG);
	memset(id, 'x', sizeof(id));
	id[IMDN_ID_MAX] = '\0';
	(void)snprintf(text, sizeof(text), DOC("<message-id>%s</message-id>"),
		       id);
	assert_int_equal(read_it(&imdn, "message/imdn+xml", text), 0);
	assert_string_equal(imdn.message_id, id);
	id[IMDN_ID_MAX] = 'x';
	id[IMDN_ID_MAX + 1] = '\0';
	(void)snprintf(text, sizeof(text), DOC("<message-id>%s</message-id>"),
		       id);
	assert_int_equal(read_it(&imdn, "message/imdn+xml", text), EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_receipt_names_a_message),
		cmocka_unit_test(other_messages_are_none),
		cmocka_unit_test(what_cannot_be_read_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
