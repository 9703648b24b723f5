/*
 * routes.c: every endpoint of restsip-api, on one screen.
 */
#include "resources/routes.h"

#include <stdio.h>

#include "resources/handlers.h"

/* Short names, for the table alone. */
#define NOBODY AUTH_NONE
#define ANYONE AUTH_OPTIONAL
#define SIGNED AUTH_REQUIRED
#define BASIC AUTH_BASIC
#define NO_BODY BODY_NONE, 0
#define JSON BODY_JSON, BODY_JSON_MAX
#define BYTES BODY_ANY, BODY_JSON_MAX
#define MAIL BODY_ANY, BODY_MAIL_MAX
#define GET METHOD_GET
#define POST METHOD_POST
#define PUT METHOD_PUT
#define PATCH METHOD_PATCH
#define DELETE METHOD_DELETE
#define SEND METHOD_SEND
#define CANCEL METHOD_CANCEL

/* clang-format off */
static const struct route table[] = {
	{POST,   "/user",                       user_create,       ANYONE, JSON},
	{GET,    "/user",                       user_list,         SIGNED, NO_BODY},
	{GET,    "/user/{email}",               user_get,          ANYONE, NO_BODY},
	{PUT,    "/user/{email}",               user_put,          SIGNED, JSON},
	{PATCH,  "/user/{email}",               user_patch,        SIGNED, JSON},
	{DELETE, "/user/{email}",               user_delete,       SIGNED, NO_BODY},
	{POST,   "/user/{email}/credential",    credential_create, SIGNED, JSON},
	{GET,    "/user/{email}/credential",    credential_list,   SIGNED, NO_BODY},
	{GET,    "/user/{email}/credential/{n}", credential_get,   SIGNED, NO_BODY},
	{DELETE, "/user/{email}/credential/{n}", credential_delete, SIGNED, NO_BODY},
	{POST,   "/user/{email}/messages",      mail_post,         ANYONE, MAIL},
	{GET,    "/user/{email}/messages",      mail_list,         SIGNED, NO_BODY},
	{GET,    "/user/{email}/messages/{n}",  mail_get,          SIGNED, NO_BODY},
	{PATCH,  "/user/{email}/messages/{n}",  mail_patch,        SIGNED, JSON},
	{DELETE, "/user/{email}/messages/{n}",  mail_delete,       SIGNED, NO_BODY},
	{POST,   "/session",                    session_create,    BASIC,  JSON},
	{DELETE, "/session",                    session_delete,    SIGNED, NO_BODY},
	{POST,   "/session/ticket",             ticket_create,     SIGNED, NO_BODY},
	{GET,    "/login",                      login_list,        SIGNED, NO_BODY},
	{GET,    "/login/{email}",              login_get,         SIGNED, NO_BODY},
	{POST,   "/login/{email}",              login_post,        SIGNED, BYTES},
	{PUT,    "/login/{email}",              login_put,         SIGNED, BYTES},
	{DELETE, "/login/{email}",              login_delete,      SIGNED, NO_BODY},
	{SEND,   "/login/{email}",              send_post,         SIGNED, BYTES},
	{POST,   "/login/{email}/messages",     send_post,         SIGNED, BYTES},
	{POST,   "/login/{email}/{n}/messages", send_post,         SIGNED, BYTES},
	{DELETE, "/login/{email}/messages/{n}", send_cancel,       SIGNED, NO_BODY},
	{GET,    "/login/{email}/{n}",          login_item_get,    SIGNED, NO_BODY},
	{PUT,    "/login/{email}/{n}",          login_item_put,    SIGNED, BYTES},
	{DELETE, "/login/{email}/{n}",          login_item_delete, SIGNED, NO_BODY},
	{GET,    "/login/{email}/{n}/trace",    send_trace,        SIGNED, NO_BODY},
	{SEND,   "/login/{email}/{n}",          send_post,         SIGNED, BYTES},
	{CANCEL, "/login/{email}/{n}",          send_cancel,       SIGNED, NO_BODY},
	{GET,    "/call",                       call_list,         SIGNED, NO_BODY},
	{POST,   "/call",                       call_create,       SIGNED, JSON},
	{GET,    "/call/{call}",                call_get,          SIGNED, NO_BODY},
	{POST,   "/call/{call}",                call_join,         SIGNED, JSON},
	{PATCH,  "/call/{call}",                call_patch,        SIGNED, JSON},
	{DELETE, "/call/{call}",                call_delete,       SIGNED, NO_BODY},
	{GET,    "/call/{call}/{n}",            participant_get,   SIGNED, NO_BODY},
	{PUT,    "/call/{call}/{n}",            participant_put,   SIGNED, JSON},
	{DELETE, "/call/{call}/{n}",            participant_delete, SIGNED, NO_BODY},
	{GET,    "/health/live",                health_live,       NOBODY, NO_BODY},
	{GET,    "/health/ready",               health_ready,      NOBODY, NO_BODY},
	{GET,    "/metrics",                    metrics_get,       NOBODY, NO_BODY},
	{GET,    "/problems/{slug}",            problem_get,       NOBODY, NO_BODY},
	{METHOD_OTHER, NULL,                    NULL,              NOBODY, NO_BODY},
};
/* clang-format on */

const struct route *routes_table(void)
{
	return table;
}

void routes_print(void)
{
	for (const struct route *r = table; r->pattern; r++)
		printf("%s %s\n", method_name(r->method), r->pattern);
}
