/*
 * app.h: what a worker has, made once by main and handed to everybody.
 */
#ifndef RESTSIP_APP_H
#define RESTSIP_APP_H

struct auth;
struct config;
struct db;
struct fcgi_server;
struct hasher;
struct loop;

struct app {
	const struct config *config;
	struct loop *loop;
	struct fcgi_server *server;
	struct db *db;
	struct hasher *hasher;
	struct auth *auth;
};

#endif
