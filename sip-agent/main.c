/*
 * restsip-agent: SIP's side of restsip.  One process, one thread, one loop.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <re.h>
#define DEBUG_MODULE "agent"
#define DEBUG_LEVEL 4
#include <re_dbg.h>

#include "agent.h"
#include "auth/auth.h"
#include "auth/credcache.h"
#include "call/legs.h"
#include "call/tell/ladder.h"
#include "common/config.h"
#include "common/descriptors.h"
#include "common/log.h"
#include "common/upkeep.h"
#include "common/version.h"
#include "common/watchdog.h"
#include "dispatch.h"
#include "event/notifier.h"
#include "gate/budget.h"
#include "gate/gate.h"
#include "gate/nonce.h"
#include "gate/trust.h"
#include "logre.h"
#include "media/ng.h"
#include "message/inbound.h"
#include "message/fleeting.h"
#include "message/outbox.h"
#include "parse/rung.h"
#include "pg/pgbatch.h"
#include "pg/pgloop.h"
#include "registrar/registrar.h"
#include "settings/ours.h"
#include "settings/reach.h"
#include "settings/settings.h"
#include "transaction/address.h"
#include "transaction/flow.h"
#include "transaction/probe.h"
#include "transaction/strans.h"
#include "transaction/uas.h"
#include "transport/certificate_told.h"
#include "transport/libre_seam.h"
#include "transport/transport.h"
#include "work/claimer.h"
#include "work/janitor.h"

#define PROGRAM "restsip-agent"

enum {
	EXIT_USAGE = 2,
	FDS_MAX = 65536,
	DRAIN_MS = 3000,    /* for what is under way at SIGTERM */
	GIVE_BACK_MS = 500, /* then to say what was not done */
	DRAIN_STEP_MS = 50,
	CLAIMERS = 2,
	/* descriptors that no connection that comes in gets: for the database,
	   probes, what is sent; at most a quarter of all */
	RESERVE = 4096,
	MEMORY = 1 << 20, /* bytes at once, without which it is no use */
};

struct program {
	struct agent ag;
	struct settings *set;
	struct gate *gate;
	struct transport *tp;
	struct certificate_told *certificate;
	struct claimer *claimerv[CLAIMERS]; /* of the outbox, the notifier */
	struct tmr tmr_drain, tmr_watchdog, tmr_upkeep;
	struct upkeep upkeep;
	size_t descriptors;
	uint64_t drain_until_ms;
	bool draining, given_back;
	int status;
};

/* libre's signal handler has no argument */
static struct program *running;

/* --- doorbells and flows ------------------------------------------------ */

static void on_ready(int agent, void *arg)
{
	struct program *p = arg;

	(void)agent;
	for (size_t i = 0; i < CLAIMERS; i++)
		claimer_ready(p->claimerv[i]);
	legs_ring(p->ag.legs);
}

static void on_bell(const char *payload, void *arg)
{
	struct program *p = arg;

	if (!strcmp(payload, NOTIFIER_BELL))
		notifier_ring(p->ag.notifier);
	else if (!strcmp(payload, LEGS_BELL))
		legs_ring(p->ag.legs);
	else if (!strncmp(payload, FLEETING_BELL, strlen(FLEETING_BELL)))
		fleeting_ring(p->ag.fleeting, payload);
	else
		claimer_kick(outbox_claimer(p->ag.outbox));
}

static void on_fatal(void *arg)
{
	struct program *p = arg;

	p->status = EXIT_FAILURE;
	re_cancel();
}

static void on_flow_lost(const char *flow, void *arg)
{
	struct program *p = arg;

	log_debug("flow_lost", LOG_STR("flow", flow));
	janitor_flow_lost(p->ag.janitor, flow);
	for (size_t i = 0; i < CLAIMERS; i++)
		claimer_flow_lost(p->claimerv[i], flow);
	legs_flow_lost(p->ag.legs, flow);
}

static void on_request(const struct sip_msg *msg, void *arg)
{
	struct program *p = arg;

	/* what is within a dialog goes on to the end */
	if (!p->draining || pl_isset(&msg->to.tag))
		dispatch_request(&p->ag, msg);
	else if (pl_strcmp(&msg->met, "ACK"))
		uas_busy_stateless(&p->ag, msg);
}

static bool on_known(const struct sanity *m, const struct sa *src, void *arg)
{
	const struct program *p = arg;

	return p->ag.legs && legs_has_phone(p->ag.legs, m, src);
}

static bool on_response(const struct sip_msg *msg, void *arg)
{
	struct program *p = arg;

	return probe_response(p->ag.prober, msg) ||
	       legs_response(p->ag.legs, msg);
}

static void on_trace(bool out, enum sip_transp tp, const struct sa *peer,
		     const char *p, size_t len, void *arg)
{
	const struct rung r = {out, tp, peer, p, len};
	const struct program *program = arg;

	if (program->ag.legs)
		legs_trace(program->ag.legs, &r);
}

/* --- the end ------------------------------------------------------------ */

/* Waits for what is under way; then gives it back, to be sent again just as
   it was by whoever comes next */
static void drain(void *arg)
{
	struct program *p = arg;
	const uint64_t now = tmr_jiffies();
	size_t left;

	inbound_release(p->ag.inbound);
	left = uas_list_count(p->ag.uas) + legs_drain(p->ag.legs);
	for (size_t i = 0; i < CLAIMERS; i++)
		left += claimer_drain(p->claimerv[i]);
	if (!left || (p->given_back && now >= p->drain_until_ms)) {
		log_info("stopped", LOG_INT("unfinished", (int64_t)left));
		re_cancel();
		return;
	}

	if (now >= p->drain_until_ms) {
		p->given_back = true;
		p->drain_until_ms = now + GIVE_BACK_MS;
		for (size_t i = 0; i < CLAIMERS; i++)
			claimer_give_back(p->claimerv[i]);
	}
	tmr_start(&p->tmr_drain, DRAIN_STEP_MS, drain, p);
}

static void on_signal(int sig)
{
	struct program *p = running;

	(void)sig;
	if (p->draining)
		return;
	log_info("stopping");
	p->draining = true;
	p->drain_until_ms = tmr_jiffies() + DRAIN_MS;
	drain(p);
}

static void upkeep(void *arg)
{
	struct program *p = arg;

	tmr_start(&p->tmr_upkeep, UPKEEP_MS, upkeep, p);
	if (upkeep_look(&p->upkeep) || p->draining)
		return;
	log_error("failed", LOG_STR("error", strerror(ENOMEM)));
	p->status = EXIT_FAILURE;
	on_signal(0);
}

/* In this order: whoever waits for the database is answered while there is
   still a socket to answer by */
static void close_all(struct program *p)
{
	tmr_cancel(&p->tmr_drain);
	tmr_cancel(&p->tmr_watchdog);
	tmr_cancel(&p->tmr_upkeep);
	log_often_end();
	p->ag.pl = mem_deref(p->ag.pl);
	p->ag.algorithms = mem_deref(p->ag.algorithms);
	p->ag.credentials = mem_deref(p->ag.credentials);
	p->ag.known = mem_deref(p->ag.known);
	p->ag.registrations = mem_deref(p->ag.registrations);
	p->ag.invites = mem_deref(p->ag.invites);
	p->ag.answers = mem_deref(p->ag.answers);
	p->ag.credcache = mem_deref(p->ag.credcache);
	p->ag.legs = mem_deref(p->ag.legs);
	p->ag.ng = mem_deref(p->ag.ng);
	p->ag.ladders = mem_deref(p->ag.ladders);
	p->ag.inbound = mem_deref(p->ag.inbound);
	p->ag.fleeting = mem_deref(p->ag.fleeting);
	p->ag.janitor = mem_deref(p->ag.janitor);
	p->ag.outbox = mem_deref(p->ag.outbox);
	p->ag.notifier = mem_deref(p->ag.notifier);
	p->ag.prober = mem_deref(p->ag.prober);
	p->ag.addresses = mem_deref(p->ag.addresses);
	p->ag.flows = mem_deref(p->ag.flows);
	p->ag.uas = mem_deref(p->ag.uas);
	p->ag.strans = mem_deref(p->ag.strans);
	p->certificate = mem_deref(p->certificate);
	p->tp = mem_deref(p->tp);
	p->gate = mem_deref(p->gate);
	p->ag.budget = mem_deref(p->ag.budget);
	p->ag.trust = mem_deref(p->ag.trust);
	p->ag.nonces = mem_deref(p->ag.nonces);
	p->set = mem_deref(p->set);
}

/* --- the beginning ------------------------------------------------------ */

/* What there are not enough descriptors for is not let in: so there are some
   left for the database, and who is known goes before strangers */
static void bound_connections(struct budget_conf *conf, size_t descriptors)
{
	const size_t reserve = descriptors / 4 < RESERVE ? descriptors / 4
							 : RESERVE;
	uint32_t *most = &conf->total[BUDGET_CONNECTIONS];

	if (!descriptors_check(descriptors, "connections", *most + reserve))
		*most = (uint32_t)(descriptors - reserve);
}

_Static_assert((int)LISTEN_MAX <= (int)NG_RELAYS_MAX,
	       "all relays of the settings are asked");

/* Media goes where SIP may, and to relays; never to us, who may be at the
   address of one */
static bool may_aim(const struct sa *sa, bool relay, void *arg)
{
	const struct program *p = arg;

	return relay ? !settings_is_own(p->set, sa)
		     : settings_may_send(p->set, sa, false);
}

static int open_relays(struct program *p)
{
	const struct sa *sav;
	const size_t sac = settings_relays(p->set, &sav);
	const int err = sac ? ng_alloc(&p->ag.ng, sav, sac) : 0;

	if (!err && p->ag.ng)
		ng_guard(p->ag.ng, may_aim, p);

	return err;
}

/* What requests pass, and what keeps them until their answer */
static int open_door(struct program *p)
{
	struct budget_conf budget;
	int err;

	budget_conf_of(&budget, settings_config(p->set));
	bound_connections(&budget, p->descriptors);
	err = budget_alloc(&p->ag.budget, &budget);
	if (!err)
		err = trust_alloc(&p->ag.trust);
	if (!err)
		err = nonce_pool_alloc(&p->ag.nonces, NONCE_COUNTED_MAX);
	if (!err)
		err = gate_alloc(&p->gate, &p->ag);
	if (!err)
		err = strans_alloc(&p->ag.strans);
	if (!err)
		err = uas_list_alloc(&p->ag.uas);

	return err;
}

/* The database, and whoever asks it, or is told by it what to do */
static int open_work(struct program *p)
{
	const struct sa *relayv;
	const struct pgloop_conf conf = {
		.conninfo = settings_conninfo(p->set),
		.name = settings_name(p->set),
		.addresses = settings_addresses(p->set),
		.relays = settings_relays(p->set, &relayv) > 0,
		.queries = settings_config(p->set)->agent.queries,
		.ready = on_ready,
		.bell = on_bell,
		.fatal = on_fatal,
		.arg = p,
	};
	int err = inbound_alloc(&p->ag.inbound, &p->ag);

	if (!err)
		err = fleeting_alloc(&p->ag.fleeting, &p->ag);
	if (!err)
		err = pgloop_alloc(&p->ag.pl, &conf);
	if (!err)
		err = auth_open(&p->ag);
	if (!err)
		err = registrar_open(&p->ag);
	if (!err)
		err = outbox_alloc(&p->ag.outbox, &p->ag);
	if (!err)
		err = notifier_alloc(&p->ag.notifier, &p->ag);
	if (!err)
		err = janitor_alloc(&p->ag.janitor, &p->ag);
	if (!err)
		err = open_relays(p);
	if (!err)
		err = legs_alloc(&p->ag.legs, &p->ag);
	if (!err)
		err = ladders_alloc(&p->ag.ladders, &p->ag,
				    settings_trace_bytes(p->set));

	return err;
}

static int open_all(struct program *p)
{
	int err;

	p->ag.set = p->set;
	err = open_door(p);
	if (!err)
		err = open_work(p);
	if (!err)
		err = flow_table_alloc(&p->ag.flows, pgloop_boot(p->ag.pl),
				       on_flow_lost, p);
	if (!err)
		err = address_book_alloc(&p->ag.addresses, ADDRESS_PROVEN_MAX,
					 ADDRESS_SILENT_MAX);
	if (!err)
		err = transport_alloc(&p->tp, p->set, p->gate, p->ag.budget,
				      on_request, on_response, p);
	if (!err)
		err = certificate_told_alloc(&p->certificate, p->ag.pl,
					     transport_tls(p->tp));
	if (err)
		return err;
	gate_set_known(p->gate, on_known, p);
	p->ag.boundh = legs_bound;
	if (settings_trace_bytes(p->set))
		transport_set_trace(p->tp, on_trace);
	p->claimerv[0] = outbox_claimer(p->ag.outbox);
	p->claimerv[1] = notifier_claimer(p->ag.notifier);
	p->ag.sip = transport_sip(p->tp);

	return prober_alloc(&p->ag.prober, p->ag.addresses, p->ag.sip,
			    transport_tls(p->tp));
}

static void turn(void *arg)
{
	struct program *p = arg;

	watchdog_turn();
	tmr_start(&p->tmr_watchdog, watchdog_period_ms(), turn, p);
}

/* libre's own remarks, in our log and escaped */
static void on_debug(int level, const char *text, size_t len, void *arg)
{
	const struct pl pl = {text, len};

	(void)arg;
	if (level <= DBG_WARNING)
		log_warn_often(1, "libre", LOG_PL("text", &pl));
	else
		log_debug("libre", LOG_PL("text", &pl));
}

static int run(struct program *p)
{
	int err;

	p->descriptors = descriptors_raise();
	if (p->descriptors > FDS_MAX)
		p->descriptors = FDS_MAX;
	/* before anything else has asked for the loop */
	err = fd_setsize(FDS_MAX);
	if (!err)
		err = libre_init();
	if (err)
		return err;
	dbg_init(DBG_WARNING, DBG_NONE);
	dbg_handler_set(on_debug, NULL);

	err = seam_check();
	if (!err)
		err = open_all(p);
	if (!err && watchdog_period_ms())
		tmr_start(&p->tmr_watchdog, 0, turn, p);
	if (!err)
		tmr_start(&p->tmr_upkeep, UPKEEP_MS, upkeep, p);
	if (!err)
		err = re_main(on_signal);
	close_all(p);
	libre_close();

	return err;
}

/* -c FILE; @return false for anything else */
static bool read_options(const char **file, int argc, char **argv)
{
	int opt;

	while ((opt = getopt(argc, argv, "c:")) != -1) {
		if (opt != 'c')
			return false;
		*file = optarg;
	}

	return optind == argc;
}

int main(int argc, char **argv)
{
	struct program p = {
		.status = EXIT_SUCCESS,
		.upkeep = {.need = MEMORY},
	};
	const char *file = NULL;
	int err;

	log_init(PROGRAM, LOG_LEVEL_INFO);
	if (version_is_asked(argc, argv, PROGRAM))
		return EXIT_SUCCESS;
	if (!read_options(&file, argc, argv)) {
		(void)fprintf(stderr, "usage: %s [-c FILE | --version]\n",
			      PROGRAM);
		return EXIT_USAGE;
	}

	(void)signal(SIGPIPE, SIG_IGN);
	err = settings_alloc(&p.set, file);
	if (err)
		return EXIT_USAGE;
	log_init(PROGRAM, settings_log_level(p.set));

	running = &p;
	err = run(&p);
	if (err)
		log_error("exit", LOG_ERRNO(err));

	return err ? EXIT_FAILURE : p.status;
}
