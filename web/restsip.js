// The browser's side of restsip: a thin client over fetch, and streams that resume.
// import { Restsip } from '/restsip.js'

/** An answer that is a problem (RFC 9457): status, type, detail, errors. */
export class Problem extends Error {
	constructor(status, body) {
		super(body.detail || body.title || `HTTP ${status}`);
		Object.assign(this, body, { status });
	}
}

export class Restsip {
	/** @param {string} base  Where the API is; empty: where the page came from */
	constructor(base = '') {
		this.base = base;
		this.token = null;
	}

	/**
	 * One request. A string goes out as text; Blob, ArrayBuffer, FormData and their like as what they are; all else as JSON.
	 * @returns what came back: JSON parsed, text as it is, a Blob of any other type, null for nothing
	 */
	async call(method, path, body, headers = {}) {
		// Else the browser asks for a password by itself after a 401.
		const init = { method, headers: { ...headers }, credentials: 'omit' };
		if (this.token) init.headers.Authorization = `Bearer ${this.token}`;
		if (body !== undefined) {
			const [sent, type] = encode(body);
			init.body = sent;
			if (type && !hasType(headers)) init.headers['Content-Type'] = type;
		}
		const response = await fetch(this.base + path, init);
		const type = (response.headers.get('Content-Type') || '').split(';')[0].trim().toLowerCase();
		const json = isJson(type);
		const content = response.status === 204 ? null : json ? await response.json()
			: isText(type) || !response.ok ? await response.text() : await response.blob();
		if (!response.ok) throw new Problem(response.status, json ? content : {});
		return content;
	}

	signUp(email, password, profile = {}) {
		return this.call('POST', '/user', { ...profile, email, password });
	}

	/** A token for the account's password; what follows is done as that account. */
	async signIn(email, password) {
		const basic = btoa(String.fromCharCode(...new TextEncoder().encode(`${email}:${password}`)));
		this.token = null;
		const session = await this.call('POST', '/session', undefined, { Authorization: `Basic ${basic}` });
		this.token = session.token;
		return session;
	}

	async signOut() {
		await this.call('DELETE', '/session');
		this.token = null;
	}

	/** SEND: any body, as of call(), to every contact of an email. */
	send(email, body, type) {
		return this.call('POST', `/login/${encodeURIComponent(email)}/messages`, body, type ? { 'Content-Type': type } : {});
	}

	/**
	 * Watches a resource: on({event, id, data}) for its state, each change and each message. Comes back by itself
	 * after a drop, from where it was; a request that is refused for good is told as the event `end`.
	 * connection(state), if given, hears each change of the connection: `open`, `lost` (it comes back by itself), and at the end
	 * `closed`: stopped, gone, or refused for good.
	 * What a callback throws goes to the page's handler of errors, and the stream goes on.
	 * @returns {() => void} call it to stop
	 */
	watch(path, on, { connection = () => {} } = {}) {
		const stop = new AbortController();
		let state = null;
		const become = (next) => {
			if (state === next) return;
			state = next;
			tell(connection, state);
		};
		this.#follow(path, on, stop.signal, become).finally(() => become('closed'));
		return () => stop.abort();
	}

	async #follow(path, on, signal, become) {
		let last = null;
		let wait_ms = 500;
		while (!signal.aborted) {
			try {
				const headers = { Accept: 'application/x-ndjson' };
				if (this.token) headers.Authorization = `Bearer ${this.token}`;
				if (last !== null) headers['Last-Event-ID'] = last;
				const response = await fetch(this.base + path, { headers, signal, credentials: 'omit' });
				if (response.status >= 400 && response.status < 500 && response.status !== 429) {
					tell(on, { event: 'end', data: { reason: `HTTP ${response.status}` } });
					return;
				}
				if (response.ok) {
					wait_ms = 500;
					become('open');
					for await (const event of lines(response.body)) {
						if (event.id !== undefined) last = event.id;
						tell(on, event);
						if (isOver(event.event, event.data)) return;
					}
				}
			} catch (error) {
				if (signal.aborted) return;
			}
			become('lost');
			await pause(wait_ms, signal);
			wait_ms = Math.min(wait_ms * 2, 10000);
		}
	}
}

/** So many milliseconds, or until it is stopped. */
function pause(wait_ms, signal) {
	return new Promise((done) => {
		setTimeout(done, wait_ms);
		signal.addEventListener('abort', done, { once: true });
	});
}

/** An error of the callback is none of the stream. */
function tell(on, event) {
	try {
		on(event);
	} catch (error) {
		reportError(error);
	}
}

/** What goes out of a body, and its type where the browser does not know it. */
function encode(body) {
	if (typeof body === 'string') return [body, 'text/plain; charset=utf-8'];
	if (body instanceof Blob) return [body, body.type ? null : 'application/octet-stream'];
	if (body instanceof FormData || body instanceof URLSearchParams) return [body, null];
	if (body instanceof ArrayBuffer || ArrayBuffer.isView(body)) return [body, 'application/octet-stream'];
	return [JSON.stringify(body), 'application/json'];
}

function hasType(headers) {
	return Object.keys(headers).some((name) => name.toLowerCase() === 'content-type');
}

function isJson(type) {
	return /[/+]json$/.test(type);
}

function isText(type) {
	return !type || /^text\/|[/+]xml$/.test(type);
}

/** Whether there is nothing to come back for. A /watch goes on when one of its resources is gone. */
function isOver(event, data) {
	return !data?.resource && (event === 'gone' || (event === 'end' && data?.reason === 'gone'));
}

/** Each line of a body as JSON; empty lines are heartbeats. */
async function* lines(body) {
	const reader = body.pipeThrough(new TextDecoderStream()).getReader();
	let rest = '';
	for (;;) {
		const { value, done } = await reader.read();
		if (done) return;
		const parts = (rest + value).split('\n');
		rest = parts.pop();
		for (const part of parts) if (part.trim()) yield JSON.parse(part);
	}
}
