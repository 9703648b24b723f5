// A conversation: what was sent and came, and what has become of each message.
import { el, button, form, field, time, short } from './dom.js';

const KEPT = 200;
const OVER = ['delivered', 'displayed', 'accepted', 'failed', 'cancelled'];
const WORDS = {
	queued: 'On its way',
	sending: 'On its way',
	stored: 'Kept until they are there',
	delivered: 'Delivered',
	displayed: 'Read',
	accepted: 'Taken by another server',
	cancelled: 'Taken back',
};

export class Chat {
	#with = '';
	#said = new Map();

	constructor(phone) {
		this.phone = phone;
		this.name = el('b');
		this.how = el('small', { role: 'status' });
		this.log = el('ol', { className: 'log', 'aria-live': 'polite', 'aria-label': 'Conversation' });
		this.write = form('Write', [field('text', 'Write a message', { required: true, autocomplete: 'off' })], 'Send', ({ text }) => this.send(text));
		const call = (video) => phone.attempt(() => phone.calls.call(this.#with, video));
		this.talk = el('div', { className: 'talk', hidden: true },
			el('header', {}, button('‹', () => phone.show('people'), { className: 'back', 'aria-label': 'Contacts' }),
				el('div', { className: 'who' }, this.name, this.how),
				button('Call', () => call(false), { className: 'call' }), button('Video', () => call(true)),
				button('Leave a message', () => phone.mail.record(this.#with))), this.log, this.write);
		this.empty = el('p', { className: 'empty' }, 'Pick somebody at the left: write to them, or call them.');
		this.element = el('section', { role: 'group', 'aria-label': 'Conversation' }, this.empty, this.talk);
		const kept = phone.api.store.getItem(`${phone.api.name}.chat`);
		if (kept) this.#said = new Map(JSON.parse(kept));
		for (const email of this.#said.keys()) phone.people.add(email);
	}

	get with() {
		return this.#with;
	}

	head(text) {
		this.how.textContent = text;
	}

	open(email, text) {
		this.#with = email;
		[this.empty.hidden, this.talk.hidden, this.name.textContent] = [true, false, email];
		this.head(text);
		this.#draw();
		this.write.elements.text.focus({ preventScroll: true });
	}

	async send(text) {
		const to = this.#with;
		const one = { from: this.phone.email, text, at: new Date().toISOString(), status: 'queued' };
		this.add(to, one);
		try {
			this.#follow(to, one, await this.phone.api.send(to, text));
		} catch (error) {
			this.#become(one, 'failed', error.message);
		}
	}

	#follow(to, one, sent) {
		one.url = sent.url;
		this.#become(one, sent.status, sent.recipients?.[0]?.sip?.reason);
		if (OVER.includes(sent.status)) return;
		this.phone.live.watch(sent.url, (event, data) => {
			if (event !== 'state' && event !== 'change') return;
			this.#become(one, data.status, data.recipients.find((r) => r.sip)?.sip.reason);
			if (OVER.includes(data.status)) this.phone.live.forget(sent.url);
		});
	}

	#become(one, status, reason) {
		[one.status, one.reason] = [status, reason];
		this.#keep();
		this.#draw();
	}

	/** What came. A crash of the server may send it once more. */
	take({ id, from, body, sent_at: at, content_type: type }) {
		if (this.#said.get(from)?.some((one) => one.id === id)) return;
		this.add(from, { id, from, at, text: body ?? `(${type}, not text)` });
		if (from !== this.#with || !this.phone.isShown('chat')) this.phone.people.unread(from, 1);
	}

	/** What happened with somebody: a text, and what one may do about it. */
	note(email, text, ...act) {
		this.add(email, { text, at: new Date().toISOString(), act });
	}

	add(email, one) {
		this.phone.people.add(email);
		const said = this.#said.get(email) || [];
		said.push(one);
		this.#said.set(email, said.slice(-KEPT));
		this.#keep();
		if (email === this.#with) this.#draw();
	}

	#keep() {
		this.phone.api.store.setItem(`${this.phone.api.name}.chat`, JSON.stringify([...this.#said].map(([who, said]) =>
			[who, said.slice(-50).map((one) => ({ ...one, act: undefined }))])));
	}

	#draw() {
		this.log.replaceChildren(...(this.#said.get(this.#with) || []).map((one) => this.#line(one)));
		this.log.scrollTop = this.log.scrollHeight;
	}

	#line(one) {
		const { phone } = this;
		if (!one.from) return el('li', { className: 'note' }, one.text, ' ', time(one.at), ...(one.act || []));
		const mine = one.from === phone.email;
		const status = !mine ? null : one.status === 'failed' ? `Not delivered: ${one.reason || 'nobody there'}` : WORDS[one.status];
		return el('li', { className: mine ? 'mine' : 'theirs' }, el('span', { className: 'sr' }, `${mine ? 'You' : short(one.from)}: `),
			el('p', {}, one.text), el('small', { className: one.status === 'failed' ? 'bad' : '' }, time(one.at), status ? ` · ${status}` : ''),
			mine && one.url && button('why', () => phone.drawer.trace(`${one.url}/trace`), { className: 'quiet', title: 'What has become of it, step by step' }));
	}
}
