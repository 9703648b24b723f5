/*
 * handlers.h: what routes.c's table names; one file a resource defines them.
 */
#ifndef RESTSIP_HANDLERS_H
#define RESTSIP_HANDLERS_H

#include "shared/router.h"

/* user.c */
route_h user_create, user_list, user_get, user_put, user_patch, user_delete;

/* session.c */
route_h session_create, session_delete, ticket_create;

/* credential.c */
route_h credential_create, credential_list, credential_get, credential_delete;

/* mail.c */
route_h mail_post, mail_list, mail_get, mail_patch, mail_delete;

/* login.c */
route_h login_list, login_get, login_post, login_put, login_delete;
route_h login_item_get, login_item_put, login_item_delete;

/* send.c: path.n is 0 where all contacts are meant */
route_h send_post, send_cancel, send_trace;

/* call.c */
route_h call_list, call_create, call_get, call_join, call_patch, call_delete;

/* participant.c */
route_h participant_get, participant_put, participant_delete;

/* health.c */
route_h health_live, health_ready, metrics_get;

/* problems.c */
route_h problem_get;

#endif
