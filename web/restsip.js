// restsip for pages: REST by fetch, streams that resume, calls by RTCPeerConnection.
/**
 * @typedef {{event: string, id?: string, data: any}} StreamEvent
 * @typedef {{headers?: Record<string, string>, signal?: AbortSignal}} Options
 * @typedef {MediaStream | MediaStreamConstraints | null} Media  What to send; null: listen only.
 */
const GATHER_MS = 3000, WAIT_MS = 500, WAIT_MOST_MS = 10000, TRIES = 3, SILENT_MS = 40000; // a stream says something every 15 s

/** An answer that is a problem (RFC 9457); `more` has all its members. */
export class Problem extends Error {
	/** @param {number} status @param {any} more */
	constructor(status, more) {
		super(more.detail || more.title || `HTTP ${status}`);
		this.status = status;
		this.type = more.type;
		this.more = more;
	}
}

export class Restsip {
	/** @param {string} [base]  where the API is; empty: where the page came from. @param {{name?: string, store?: Storage}} keep  the token, for a reload */
	constructor(base = '', { name = 'restsip', store = sessionStorage } = {}) {
		this.base = base;
		this.name = name;
		this.store = store;
		this.token = store.getItem(name);
		/** Whose token it is. */
		this.email = '';
		/**
		 * Hears of each exchange.
		 * @type {(exchange: {method: string, path: string, body: any, status: number, content: any}) => void}
		 */
		this.told = () => {};
		/** How a call is watched: a page that has one stream of all puts its own in the place. */
		this.follow = this.watch;
	}

	/**
	 * Any request. A string goes out as text; Blob, ArrayBuffer, FormData and their like as what they are; all else as JSON.
	 * A POST has an Idempotency-Key, and is made again, as GET, PUT and DELETE are, where the connection or the server fails.
	 * @param {string} method @param {string} path @param {any} [body] @param {Options} options
	 * @returns {Promise<any>} JSON parsed, text, a Blob of other types, null for nothing; throws Problem
	 */
	async request(method, path, body, { headers, signal } = {}) {
		const out = new Headers(headers);
		// Without `omit` the browser asks for a password by itself after a 401.
		const init = { method, signal, headers: out, credentials: /** @type {const} */ ('omit'), body: encode(body, out) };
		if (this.token && !out.has('Authorization')) out.set('Authorization', `Bearer ${this.token}`);
		const keyed = method === 'POST' && this.token && !/^\/session|^\/user$|\/credential$/.test(path);
		if (keyed) out.set('Idempotency-Key', [...crypto.getRandomValues(new Uint32Array(4))].join('-'));
		for (let left = keyed || /GET|PUT|DELETE/.test(method) ? TRIES : 1, wait_ms = WAIT_MS; ; wait_ms *= 2) {
			left--;
			try {
				const response = await fetch(this.base + path, init);
				if (!left || ![502, 503, 504].includes(response.status)) return await this.#read(response, method, path, body);
			} catch (error) {
				if (!left || error instanceof Problem || signal?.aborted) throw error;
			}
			await pause(wait_ms, signal);
		}
	}

	/** @param {Response} response @param {string} method @param {string} path @param {any} [body] */
	async #read(response, method, path, body) {
		const { status, ok } = response;
		const [type] = (response.headers.get('Content-Type') || '').toLowerCase().split(';');
		const json = /[/+]json$/.test(type);
		const content = status === 204 ? null : json ? await response.json()
			: !ok || !type || /^text\/|[/+]xml$/.test(type) ? await response.text() : await response.blob();
		this.told({ method, path, body, status, content });
		if (!ok) throw new Problem(status, json ? content : {});
		return content;
	}

	/**
	 * POST /user.
	 * @param {string} email @param {string} password @param {object} [profile]
	 */
	signUp(email, password, profile) {
		return this.request('POST', '/user', { ...profile, email, password });
	}

	/**
	 * POST /session: a token, for what follows.
	 * @param {string} email @param {string} password
	 */
	async signIn(email, password) {
		this.#keep();
		return this.#keep(await this.request('POST', '/session', undefined, { headers: { Authorization: basic(email, password) } }));
	}

	/** GET /session: goes on with the token that is kept; null: there is none, or it has ended. */
	async resume() {
		try {
			return this.token ? this.#keep(await this.request('GET', '/session')) : null;
		} catch (/** @type {any} */ error) {
			if (error.status !== 401) throw error;
			return this.#keep();
		}
	}

	/** DELETE /session. */
	async signOut() {
		await this.request('DELETE', '/session').finally(() => this.#keep());
	}

	/** @param {any} [session] */
	#keep(session) {
		this.token = session ? session.token || this.token : null;
		this.email = session?.email || '';
		if (this.token) this.store.setItem(this.name, this.token);
		else this.store.removeItem(this.name);
		return session || null;
	}

	/**
	 * As what this page's login is seen: PUT /login/me/{n}; POST /login/me makes one, for as long as the page watches.
	 * @param {any} [presence]
	 */
	async presence(presence) {
		const kept = `${this.name}.login`;
		const n = this.store.getItem(kept);
		try {
			if (n) return await this.request('PUT', `/login/me/${n}`, { presence });
		} catch (/** @type {any} */ error) {
			if (error.status !== 404) throw error;
		}
		const made = await this.request('POST', '/login/me', { lifetime: 'stream', presence });
		this.store.setItem(kept, made.id);
		return made;
	}

	/**
	 * POST /login/{email}/messages (SEND), any body.
	 * @param {string} email @param {any} body @param {string} [type]
	 */
	send(email, body, type) {
		return this.request('POST', `/login/${encodeURIComponent(email)}/messages`, body, type ? { headers: { 'Content-Type': type } } : {});
	}

	/**
	 * GET /login/me, a stream: what is sent to the account.
	 * @param {Options} [options] @returns {AsyncGenerator<any>}
	 */
	async *messages(options) {
		for await (const { event, data } of this.watch('/login/me', options)) if (event === 'message') yield data;
	}

	/** GET /user/me/messages: voice, video and text mail. */
	mailbox() {
		return this.request('GET', '/user/me/messages');
	}

	/**
	 * POST /user/{email}/messages: mail.
	 * @param {string} email @param {any} body  a Blob of audio or video, text, {"url"}
	 */
	leave(email, body) {
		return this.request('POST', `/user/${encodeURIComponent(email)}/messages`, body);
	}

	/**
	 * GET url, a stream; several: GET /watch?r=…&r=…. After a drop, or a silence, it resumes by itself where it was.
	 * Ends with the resource, by signal, and when the loop is left; throws Problem when it is refused.
	 * @param {string | string[]} url
	 * @param {{signal?: AbortSignal, since?: string, connection?: (state: 'open' | 'lost') => void}} options
	 * @returns {AsyncGenerator<StreamEvent>}
	 */
	async *watch(url, { signal, since, connection = () => {} } = {}) {
		const path = Array.isArray(url) ? `/watch?${new URLSearchParams(url.map((r) => ['r', r]))}` : url;
		let stop = new AbortController();
		const abort = () => stop.abort();
		signal?.addEventListener('abort', abort);
		try {
			for (let wait_ms = WAIT_MS; !signal?.aborted; wait_ms = Math.min(wait_ms * 2, WAIT_MOST_MS)) {
				try {
					stop = new AbortController();
					const headers = {
						Accept: 'application/x-ndjson',
						...(this.token && { Authorization: `Bearer ${this.token}` }),
						...(since && { 'Last-Event-ID': since }),
					};
					const response = await soon(fetch(this.base + path, { headers, signal: stop.signal, credentials: 'omit' }), stop);
					if (/^4(?!29)/.test(`${response.status}`)) await this.#read(response, 'GET', path);
					if (response.ok) {
						connection('open');
						for await (const event of lines(response, stop)) {
							wait_ms = WAIT_MS;
							since = event.id ?? since;
							yield event;
							// A /watch goes on when one of its resources is gone.
							if (!event.data?.resource && (event.event === 'gone' || event.data?.reason === 'gone')) return;
						}
					}
				} catch (error) {
					if (signal?.aborted) return;
					if (error instanceof Problem) throw error;
				}
				connection('lost');
				await pause(wait_ms, signal);
			}
		} finally {
			signal?.removeEventListener('abort', abort);
			abort();
		}
	}

	/**
	 * POST /call: rings the phones and pages of `to`, an email.
	 * @param {string} to @param {Media} [media]
	 */
	async call(to, media = { audio: true }) {
		const call = new Call(this, to);
		try {
			const session = await call.open(media);
			return call.follow(await this.request('POST', '/call', { open: false, session, invite: [`/login/${to}`] }), 'ringing');
		} catch (error) {
			call.close();
			throw error;
		}
	}

	/**
	 * The call that a message invites to; else null.
	 * @param {any} message
	 */
	incoming({ json, from }) {
		return json?.command === 'invite' && json.url ? new Call(this, from, json.session).follow(json, 'incoming') : null;
	}
}

/** A call of two; its event `change` says that something of it is another. */
export class Call extends EventTarget {
	/** @type {'new' | 'ringing' | 'incoming' | 'up' | 'ended'} */ state = 'new';
	/**
	 * Why it has ended.
	 * @type {{cause: string, by?: string} | null}
	 */
	ended = null;
	/** The other side holds; this side does. */ held = false;
	holding = false;
	/** @type {MediaStream | null} */ local = null;
	remote = new MediaStream();
	url = '';
	/** One's participant. */ me = '';
	/** @type {RTCPeerConnection | null} */ pc = null;
	#stop = new AbortController();

	/** @param {Restsip} api @param {string} peer @param {any} [session]  what the other side offers */
	constructor(api, peer, session) {
		super();
		this.api = api;
		this.with = peer;
		this.session = session;
	}

	/**
	 * One's own session, an answer where there is an offer.
	 * @param {Media} media
	 */
	async open(media) {
		const { ice_servers: iceServers } = await this.api.request('GET', '/session');
		this.local = media && !(media instanceof MediaStream) ? await navigator.mediaDevices.getUserMedia(media) : media;
		return this.#connect(new RTCPeerConnection({ iceServers }));
	}

	/** @param {RTCPeerConnection} pc */
	async #connect(pc) {
		this.pc = pc;
		pc.ontrack = ({ track }) => {
			this.remote.addTrack(track);
			this.#become(this.state);
		};
		if (this.session?.sdp) await pc.setRemoteDescription(this.session);
		for (const track of this.local?.getTracks() || []) pc.addTrack(track, /** @type {MediaStream} */ (this.local));
		if (!this.local && !this.session?.sdp) pc.addTransceiver('audio', { direction: 'recvonly' });
		return this.#describe(pc);
	}

	/**
	 * With all candidates: there is no trickle.
	 * @param {RTCPeerConnection} pc
	 */
	async #describe(pc) {
		await pc.setLocalDescription();
		for (let left_ms = GATHER_MS; pc.iceGatheringState !== 'complete' && left_ms > 0; left_ms -= 20) await pause(20);
		return { type: pc.localDescription?.type, sdp: pc.localDescription?.sdp };
	}

	/**
	 * GET /call/{id}, a stream, until it is over.
	 * @param {{url: string}} made @param {Call['state']} state
	 */
	follow({ url }, state) {
		this.url = url;
		this.#become(state);
		this.#follow();
		return this;
	}

	async #follow() {
		const { signal } = this.#stop;
		while (!signal.aborted) {
			try {
				for await (const { event, data } of this.api.follow(this.url, { signal })) {
					if (/state|change/.test(event)) await this.#look(data);
				}
				this.close();
			} catch (/** @type {any} */ error) {
				if (signal.aborted) return;
				if (error.status === 401) this.close({ cause: 'signed-out' });
				else if (/404|410/.test(error.status)) {
					await pause(WAIT_MS); // why it is called off comes as a message, at the same moment
					this.close();
				} else if (error instanceof DOMException) this.hangUp({ cause: 'media' }).catch(() => {});
				else await pause(WAIT_MOST_MS, signal); // any other refusal is no end
			}
		}
	}

	/** @param {any} doc */
	async #look({ children, ended }) {
		/** @type {any[]} */
		const others = children.filter((/** @type {any} */ c) => c.email !== this.api.email);
		const mine = children.find((/** @type {any} */ c) => !others.includes(c));
		const other = others.find((c) => c.state === 'joined');
		if (mine?.state === 'joined') this.me = mine.url;
		const left = !other && others.find((c) => c.ended);
		// The call is hung up; who was only rung has not been in it.
		if (this.state === 'incoming') ended &&= { ...ended, ...mine?.ended };
		ended ||= mine?.ended || (left && { by: /declined|busy|hangup/.test(left.ended.cause) ? left.email : undefined, ...left.ended });
		if (!others.length && this.state === 'ringing') { // nobody is rung: there is no phone and no page
			return this.hangUp({ cause: 'unreachable' });
		}
		if (ended || (!other && this.state === 'up')) return this.close(ended);
		if (!other || !this.me || !this.pc) return;
		this.with = other.email;
		const isQuiet = /^a=(sendonly|inactive)/m.test(other.session?.sdp);
		this.held = Boolean(other.hold) || (isQuiet && !(this.holding && other.session.type === 'answer'));
		await this.#take(other.session, this.pc);
		this.#become('up');
	}

	/**
	 * What the other side has answered, or offers.
	 * @param {any} session @param {RTCPeerConnection} pc
	 */
	async #take(session, pc) {
		if (!session?.sdp || session.sdp === this.session?.sdp) return;
		const isOther = origin(session) !== origin(this.session);
		this.session = session;
		if (session.type === 'answer') {
			if (pc.signalingState === 'have-local-offer') await pc.setRemoteDescription(session);
			return;
		}
		if (isOther) { // another end, by a transfer or a reload: nothing of the old connection is good for it
			pc.close();
			for (const track of this.remote.getTracks()) this.remote.removeTrack(track);
		} else await pc.setRemoteDescription(session);
		await this.#put(await (isOther ? this.#connect(new RTCPeerConnection(pc.getConfiguration())) : this.#describe(pc)));
	}

	/**
	 * PUT /call/{id}/{n}.
	 * @param {object} session
	 */
	#put(session) {
		return this.api.request('PUT', this.me, { session });
	}

	/**
	 * POST /call/{id}: answers.
	 * @param {Media} [media]
	 */
	async accept(media = { audio: true }) {
		const session = await this.open(media);
		this.me = (await this.api.request('POST', this.url, { url: '/login/me', lifetime: 'stream', session })).url;
		this.#become('up');
	}

	/**
	 * SEND "command":"reject".
	 * @param {string | number} [reason]  busy, unavailable, a SIP code
	 */
	async reject(reason) {
		await this.#command({ command: 'reject', reason });
		this.close({ cause: 'declined', by: this.api.email });
	}

	/**
	 * DELETE /call/{id}, or /call/{id}/{n} of another's call.
	 * @param {Call['ended']} [ended]
	 */
	async hangUp(ended) {
		const { api, me, state, url } = this;
		if (state === 'incoming') return this.reject();
		this.close(ended || { cause: state === 'up' ? 'hangup' : 'cancelled', by: api.email });
		return api.request('DELETE', url).catch((error) => (error.status === 404 ? null : api.request('DELETE', me || url)));
	}

	/**
	 * PUT /call/{id}/{n}: an offer that holds, or no longer.
	 * @param {boolean} [on]
	 */
	async hold(on = true) {
		const pc = /** @type {RTCPeerConnection} */ (this.pc);
		for (const one of pc.getTransceivers()) one.direction = on ? 'inactive' : 'sendrecv';
		this.holding = on;
		await this.#put(await this.#describe(pc));
		this.#become(this.state);
	}

	/**
	 * SEND "command":"dtmf".
	 * @param {string} digits
	 */
	dtmf(digits) {
		return this.#command({ command: 'dtmf', digits });
	}

	/**
	 * SEND "command":"transfer".
	 * @param {string} to  an email
	 */
	transfer(to) {
		return this.#command({ command: 'transfer', to: `/login/${to}` });
	}

	/** @param {object} command */
	#command(command) {
		return this.api.send(this.with, { ...command, url: this.url });
	}

	/**
	 * Lets go of the media; the server is told nothing.
	 * @param {Call['ended']} [ended]
	 */
	close(ended = null) {
		if (this.state === 'ended') return;
		this.#stop.abort();
		this.pc?.close();
		for (const track of this.local?.getTracks() || []) track.stop();
		this.ended = ended || (this.state === 'up' ? { cause: 'hangup' } : { cause: 'cancelled', by: this.with });
		this.#become('ended');
	}

	/** @param {Call['state']} state */
	#become(state) {
		this.state = state;
		this.dispatchEvent(new Event('change'));
	}
}

/** @param {any} session */
const origin = (session) => /^o=\S+ \S+/m.exec(session?.sdp || '')?.[0];

/** @param {string} email @param {string} password */
export const basic = (email, password) => `Basic ${btoa(String.fromCharCode(...new TextEncoder().encode(`${email}:${password}`)))}`;

/**
 * So many ms, or until it is stopped.
 * @param {number} wait_ms @param {AbortSignal} [signal] @returns {Promise<void>}
 */
const pause = (wait_ms, signal) => new Promise((done) => {
	setTimeout(done, wait_ms);
	signal?.addEventListener('abort', () => done(), { once: true });
});

/**
 * What a stream's server says next; it is stopped where that is nothing.
 * @template T
 * @param {Promise<T>} said @param {AbortController} stop
 */
function soon(said, stop) {
	const timer = setTimeout(() => stop.abort(), SILENT_MS);
	return said.finally(() => clearTimeout(timer));
}

/**
 * What goes out; its type, where the browser does not know it.
 * @param {any} body @param {Headers} headers
 */
function encode(body, headers) {
	let type = 'application/json';
	if (body === undefined) return body;
	if (body instanceof FormData || body instanceof URLSearchParams || (body instanceof Blob && body.type)) return body;
	if (typeof body === 'string') type = 'text/plain; charset=utf-8';
	else if (body instanceof Blob || body instanceof ArrayBuffer || ArrayBuffer.isView(body)) type = 'application/octet-stream';
	else body = JSON.stringify(body);
	if (!headers.has('Content-Type')) headers.set('Content-Type', type);
	return body;
}

/**
 * Each line as JSON; empty ones are heartbeats.
 * @param {Response} response @param {AbortController} stop @returns {AsyncGenerator<StreamEvent>}
 */
async function* lines({ body }, stop) {
	const reader = /** @type {ReadableStream<Uint8Array>} */ (body).pipeThrough(new TextDecoderStream()).getReader();
	for (let rest = ''; ;) {
		const { value, done } = await soon(reader.read(), stop);
		if (done) return;
		const parts = (rest + value).split('\n');
		rest = parts.pop() || '';
		for (const part of parts) if (part.trim()) yield JSON.parse(part);
	}
}
