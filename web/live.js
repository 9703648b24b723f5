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

	/** Tells on(event, data) of the resource until forget(). */
	watch(resource, on) {
		const known = this.#watched.get(resource);
		if (!known && this.#watched.size >= MOST) this.#watched.delete([...this.#watched.keys()].find((one) => PASSING.test(one)));
		this.#watched.set(resource, { on, id: known?.id || '' });
		if (!known) this.#renew();
	}

	/** Tells nobody of it any more; the stream leaves it out when it is opened next. */
	forget(resource) {
		this.#watched.delete(resource);
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
			if (!at || resources.length < 2) return this.connection('closed');
			this.forget(resources[Number(at[1])]);
			this.#renew();
		}
	}

	#tell(event, data) {
		const one = this.#watched.get(data?.resource);
		if (!one) return;
		if (data.id) one.id = data.id;
		one.on(event, data.data);
		if (event === 'gone') this.#watched.delete(data.resource);
	}
}
