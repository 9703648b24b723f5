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
	 * One request. A body that is no string goes out as JSON.
	 * @returns what came back: JSON parsed, other text as it is, null for nothing
	 */
	async call(method, path, body, headers = {}) {
		// Else the browser asks for a password by itself after a 401.
		const init = { method, headers: { ...headers }, credentials: 'omit' };
		if (this.token) init.headers.Authorization = `Bearer ${this.token}`;
		if (body !== undefined) {
			const text = typeof body === 'string';
			init.body = text ? body : JSON.stringify(body);
			init.headers['Content-Type'] ??= text ? 'text/plain; charset=utf-8' : 'application/json';
		}
		const response = await fetch(this.base + path, init);
		const json = /json/.test(response.headers.get('Content-Type') || '');
		const content = response.status === 204 ? null : json ? await response.json() : await response.text();
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

	/** SEND: any text to every contact of an email. */
	send(email, text, type = 'text/plain; charset=utf-8') {
		return this.call('POST', `/login/${encodeURIComponent(email)}/messages`, text, { 'Content-Type': type });
	}

	/**
	 * Watches a resource: on({event, id, data}) for its state, each change and each message. Comes back by itself
	 * after a drop, from where it was.
	 * @returns {() => void} call it to stop
	 */
	watch(path, on) {
		const stop = new AbortController();
		this.#follow(path, on, stop.signal);
		return () => stop.abort();
	}

	/**
	 * As watch(), by the browser's own EventSource. That cannot say who it is, so each connection has a ticket of its
	 * own, which serves once: after a drop a new one is got, and the stream goes on behind the last event.
	 * @returns {() => void} call it to stop
	 */
	listen(path, on) {
		const stop = new AbortController();
		this.#listen(path, on, stop.signal);
		return () => stop.abort();
	}

	async #listen(path, on, signal) {
		const place = { last: null, over: false, opened: false };
		let wait_ms = 500;
		while (!signal.aborted && !place.over) {
			place.opened = false;
			try {
				const { ticket } = await this.call('POST', '/session/ticket');
				if (!signal.aborted) await this.#hear(path, ticket, place, on, signal);
			} catch (error) {
				if (error.status === 401 && !signal.aborted) {
					on({ event: 'end', data: { reason: 'HTTP 401' } });
					return;
				}
			}
			if (signal.aborted || place.over) return;
			wait_ms = place.opened ? 500 : Math.min(wait_ms * 2, 10000);
			await new Promise((done) => setTimeout(done, wait_ms));
		}
	}

	/** One connection, until it breaks. */
	#hear(path, ticket, place, on, signal) {
		const query = new URLSearchParams({ ticket });
		if (place.last !== null) query.set('since', place.last);
		const source = new EventSource(`${this.base}${path}${path.includes('?') ? '&' : '?'}${query}`);
		return new Promise((done) => {
			const end = () => {
				source.close();
				done();
			};
			for (const event of ['state', 'change', 'put', 'remove', 'message', 'gone', 'end']) {
				source.addEventListener(event, ({ data, lastEventId }) => {
					if (signal.aborted) return;
					if (lastEventId) place.last = lastEventId;
					const value = JSON.parse(data);
					on({ event, id: lastEventId || undefined, data: value });
					place.over = isOver(event, value);
					if (isEnd(event, value)) end();
				});
			}
			source.onopen = () => { place.opened = true; };
			source.onerror = end;
			signal.addEventListener('abort', end);
		});
	}

	async #follow(path, on, signal) {
		let last = null;
		let wait_ms = 500;
		while (!signal.aborted) {
			try {
				const headers = { Accept: 'application/x-ndjson', Authorization: `Bearer ${this.token}` };
				if (last !== null) headers['Last-Event-ID'] = last;
				const response = await fetch(this.base + path, { headers, signal, credentials: 'omit' });
				if (response.status >= 400 && response.status < 500 && response.status !== 429) {
					on({ event: 'end', data: { reason: `HTTP ${response.status}` } });
					return;
				}
				if (response.ok) {
					wait_ms = 500;
					for await (const event of lines(response.body)) {
						if (event.id !== undefined) last = event.id;
						on(event);
						if (isOver(event.event, event.data)) return;
					}
				}
			} catch (error) {
				if (signal.aborted) return;
			}
			await new Promise((done) => setTimeout(done, wait_ms));
			wait_ms = Math.min(wait_ms * 2, 10000);
		}
	}
}

/** Whether the stream ends with it: of /watch not where it is one resource's. */
function isEnd(event, data) {
	return (event === 'gone' || event === 'end') && !data?.resource;
}

/** Whether there is nothing to come back for. */
function isOver(event, data) {
	return isEnd(event, data) && (event === 'gone' || data?.reason === 'gone');
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
