// Who there is, and how they are: contacts at the left, live; and one's own presence.
import { el, button, form, field, short } from './dom.js';

const MOST = 60; // of 100 that one stream may have
const WORDS = ['open', 'away', 'busy', 'meeting', 'on-the-phone', 'closed'];
const SHOWN = { open: 'Available', closed: 'Not available' };
const word = (w) => SHOWN[w] || w[0].toUpperCase() + w.slice(1).replaceAll('-', ' ');

/** Out of contacts: {is: open|away|off, text}. */
export function presence(contacts) {
	if (!contacts.length) return { is: 'off', text: 'Not here' };
	const all = contacts.map((c) => c.presence || {});
	const notes = [...new Set(all.map((p) => p.note).filter(Boolean))];
	const doing = [...new Set(all.flatMap((p) => p.activities || []))];
	const isClosed = all.every((p) => p.basic === 'closed');
	const where = contacts.some((c) => c.source === 'sip') ? 'by phone' : 'by page';
	const text = doing.length ? doing.map(word).join(', ') : isClosed ? SHOWN.closed : `${SHOWN.open}, ${where}`;
	return { is: isClosed || doing.length ? 'away' : 'open', text: [text, ...notes].join(' · ') };
}

export class People {
	#rows = new Map();
	#picked = '';

	constructor(phone) {
		this.phone = phone;
		this.list = el('ul', { className: 'people', 'aria-label': 'Contacts' });
		this.me = el('span', { className: 'dot off' });
		const state = el('select', { name: 'state', 'aria-label': 'Your presence' }, ...WORDS.map((w) => el('option', { value: w }, word(w))));
		const note = field('note', 'A note', { maxLength: 200, className: 'note' });
		const say = () => phone.attempt(() => this.say(state.value, note.value));
		state.addEventListener('change', say);
		note.addEventListener('change', say);
		this.element = el('aside', { 'aria-label': `Contacts of ${phone.email}` }, el('div', { className: 'own' }, this.me, state, note), this.list,
			el('p', { className: 'empty' }, 'Nobody else yet. Add somebody by their email; then write to them, or call.'),
			form('Add somebody', [field('email', 'Email of somebody', { type: 'email', required: true })], 'Add', ({ email }) => this.pick(email)));
	}

	async start() {
		const { phone } = this;
		phone.live.watch(`/login/${phone.email}`, (event, data) => {
			if (event === 'message') phone.inbox(data);
			else if (event === 'state' || event === 'change') this.me.className = `dot ${presence(data).is}`;
		});
		await this.say('open', '');
		for (const { id } of await phone.api.request('GET', `/user?limit=${MOST}`)) if (id !== phone.email) this.add(id);
	}

	say(state, note) {
		this.said = note || (state !== 'open' && state !== 'closed') ? {
			basic: state === 'closed' ? 'closed' : 'open',
			...(state === 'open' || state === 'closed' ? {} : { activities: [state] }), ...(note ? { note } : {}),
		} : state;
		return this.phone.api.presence(this.said);
	}

	/** The stream is back: a login of it may have lapsed. */
	back() {
		return this.said && this.phone.api.presence(this.said);
	}

	/** At the end of a session: one is not here any more, at once. */
	async leave() {
		const { name, store } = this.phone.api;
		const n = store.getItem(`${name}.login`);
		if (n) await this.phone.api.request('DELETE', `/login/me/${n}`).catch(() => {});
	}

	add(email) {
		if (this.#rows.has(email) || email === this.phone.email) return;
		const dot = el('span', { className: 'dot off' });
		const text = el('small', {}, 'Not here');
		const count = el('b', { className: 'count', hidden: true });
		const row = button('', () => this.pick(email), { title: email });
		row.append(dot, el('span', { className: 'who' }, short(email), text), count);
		this.#rows.set(email, { row, count, contacts: [] });
		this.list.append(el('li', {}, row));
		if (this.#rows.size > MOST) return;
		this.phone.live.watch(`/login/${email}`, (event, data) => {
			if (event !== 'state' && event !== 'change') return;
			const { is, text: said } = presence(data);
			dot.className = `dot ${is}`;
			text.textContent = said;
			this.#rows.get(email).text = said;
			if (this.#picked === email) this.phone.chat.head(said);
		});
	}

	pick(email) {
		this.add(email);
		this.#picked = email;
		for (const [whose, { row }] of this.#rows) row.setAttribute('aria-current', String(whose === email));
		this.unread(email, 0);
		this.phone.show('chat');
		this.phone.chat.open(email, this.#rows.get(email)?.text || 'Not here');
	}

	unread(email, n) {
		this.add(email);
		const count = this.#rows.get(email)?.count;
		if (!count) return;
		count.hidden = !n;
		count.textContent = n ? Number(count.textContent || 0) + n : '';
	}
}
