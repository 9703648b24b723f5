// Meetings: make, schedule, invite, join, and who is in it.
import { el, button, form, field, short, when } from './dom.js';

export class Meet {
	#calls = new Map();
	#in = new Map(); // url: one's participant

	constructor(phone) {
		this.phone = phone;
		this.list = el('ul', { className: 'list' });
		this.element = el('section', { role: 'group', 'aria-label': 'Meetings' }, el('h2', {}, 'Meetings'),
			form('Make a meeting', [field('subject', 'About what', { required: true }),
				field('at', 'When it starts; empty: now', { type: 'datetime-local' })], 'Make', (put) => this.#make(put)),
			el('p', { className: 'quiet' }, 'Here you see who is there. A meeting has no sound and picture yet: call one of them for that.'), this.list);
	}

	start() {
		this.phone.live.watch('/call', (event, data) => {
			if (event === 'state') {
				this.#calls.clear();
				for (const one of data) this.#calls.set(one.url, one);
			} else if (event === 'put') this.#calls.set(data.url, data);
			else if (event === 'remove') this.#calls.delete(data.url);
			this.#draw();
		});
	}

	#make({ subject, at }) {
		return this.phone.attempt(() => this.phone.api.request('POST', '/call', { subject, ...(at ? { starts_at: new Date(at).toISOString() } : {}) }));
	}

	#draw() {
		const shown = [...this.#calls.values()].filter((one) => one.subject && one.state !== 'ended');
		this.list.replaceChildren(...shown.map((one) => this.#line(one)));
		if (!shown.length) this.list.append(el('li', { className: 'empty' }, 'No meetings.'));
	}

	#line(one) {
		const { phone } = this;
		const me = this.#in.get(one.url);
		const about = `${one.state === 'scheduled' ? `starts ${when(one.starts_at)}` : 'now'} · by ${short(one.owner)} · ${one.participants ?? 0} there`;
		const ask = ({ email }) => phone.attempt(() => phone.api.send(email, { command: 'invite', meeting: one.subject, url: one.url }));
		return el('li', {}, el('span', { className: 'who' }, one.subject, el('small', {}, about)),
			me ? button('Leave', () => this.leave(one.url)) : one.state === 'active' && button('Join', () => this.join(one.url), { className: 'go' }),
			one.owner === phone.email && button('End', () => phone.attempt(() => phone.api.request('DELETE', one.url))),
			me && el('div', { className: 'roster' }, el('ul', { 'aria-label': 'Who is there' }, ...me.children.filter((child) => child.state !== 'ended').map((child) =>
				el('li', {}, short(child.email), child.state === 'joined' ? '' : ` (${child.state})`))),
			form('Invite', [field('email', 'Invite (email)', { type: 'email', required: true })], 'Invite', ask)));
	}

	join(url) {
		return this.phone.attempt(async () => {
			const joined = await this.phone.api.request('POST', url, { url: '/login/me', lifetime: 'stream' });
			const me = { url: joined.url, children: [] };
			this.#in.set(url, me);
			this.phone.show('meet');
			this.phone.live.watch(url, (event, data) => {
				if (event === 'state' || event === 'change') me.children = data.children;
				else if (event === 'gone') this.#in.delete(url);
				this.#draw();
			});
		});
	}

	leave(url) {
		return this.phone.attempt(async () => {
			const { url: me } = this.#in.get(url);
			this.#in.delete(url);
			this.phone.live.forget(url);
			await this.phone.api.request('DELETE', me);
			this.#draw();
		});
	}

	/** Somebody asks one to come. */
	asked({ from, json }) {
		this.phone.chat.note(from, `Invites you to the meeting “${json.meeting}”.`, button('Join', () => this.join(json.url)));
		this.phone.people.unread(from, 1);
	}
}
