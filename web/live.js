// One stream of all that a phone looks at. Resources come and go: it is opened anew then, from where each one was.

const GATHER_MS = 30;
const BEGIN_MS = 5000; // for the first event of each resource: from there it can go on, and nothing is missed
const MOST = 100; // of one stream; the oldest message gives way, whose outcome nobody waits for any more
const PASSING = /^\/login\/[^/]+\/\d+$/;

export class Live {
	#watched = new Map(); // resource: who is told, and its last id
	#stop = new AbortController();
	#timer = 0;
	#followed = [];
	#began = 0;

	/** @param connection  hears `open`, `lost`, and `closed` where it is refused for good */
	constructor(api, connection) {
		this.api = api;
		this.connection = connection;
	}

	/** Tells on(event, data) of the resource until forget(); refused(problem) where it may not be seen. */
	watch(resource, on, refused = () => {}) {
		const known = this.#watched.get(resource);
		if (!known && this.#watched.size >= MOST) this.#watched.delete([...this.#watched.keys()].find((one) => PASSING.test(one)));
		this.#watched.set(resource, { on, refused, id: known?.id || '' });
		if (!known) this.#renew();
	}

	/** Tells nobody of it any more; the stream leaves it out when it is opened next. */
	forget(resource) {
		this.#watched.delete(resource);
	}

	/** The same as Restsip's watch(), of this stream: for who would open one more. */
	async *events(resource, { signal }) {
		const came = [];
		let wake = () => {};
		const put = (one) => {
			came.push(one);
			wake();
		};
		this.watch(resource, (event, data) => put({ event, data }), (error) => put({ error }));
		signal.addEventListener('abort', () => wake(), { once: true });
		try {
			while (!signal.aborted) {
				const one = came.shift();
				if (one?.error) throw one.error;
				if (one) yield one;
				if (one?.event === 'gone') return;
				if (!one) await new Promise((done) => { wake = done; });
			}
		} finally {
			this.forget(resource);
		}
	}

	close() {
		clearTimeout(this.#timer);
		this.#watched.clear();
		this.#stop.abort();
	}

	#renew() {
		clearTimeout(this.#timer);
		this.#timer = setTimeout(() => {
			if (this.#isBeginning()) return this.#renew();
			this.#stop.abort();
			this.#stop = new AbortController();
			this.#follow([...this.#watched.keys()], this.#stop.signal);
		}, GATHER_MS);
	}

	#isBeginning() {
		return Date.now() < this.#began + BEGIN_MS && this.#followed.some((one) => this.#watched.get(one)?.id === '');
	}

	async #follow(resources, signal) {
		if (!resources.length) return;
		[this.#followed, this.#began] = [resources, Date.now()];
		const ids = resources.map((r) => this.#watched.get(r).id);
		const since = ids.some(Boolean) ? ids.join(',') : undefined;
		try {
			for await (const { event, data } of this.api.watch(resources, { signal, since, connection: this.connection })) {
				this.#tell(event, data);
			}
		} catch (error) {
			if (signal.aborted) return;
			// What may not be seen any more is named by its place.
			const at = /^\/r\/(\d+)/.exec(error.more?.errors?.[0]?.pointer || '');
			const refused = at ? [resources[Number(at[1])]] : resources;
			for (const one of refused) this.#watched.get(one)?.refused(error);
			if (!at) return this.connection('closed');
			this.forget(refused[0]);
			this.#renew();
		}
	}

	#tell(event, data) {
		const one = this.#watched.get(data?.resource);
		if (!one) return;
		if (data.id) one.id = data.id;
		if (event === 'gone') this.#watched.delete(data.resource);
		if (event === 'end') this.#renew(); // asked for once more it is gone, or goes on
		try {
			one.on(event, data.data);
		} catch (error) {
			reportError(error); // of one view: the others go on
		}
	}
}
