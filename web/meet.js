// Meetings: make, schedule, invite, join, who is in it, and that it begins and is over.
import { el, button, form, field, short, when } from './dom.js';
import { ring } from './ring.js';

const RING_MS = 10000;
const MINUTE_MS = 60000; // what a time is chosen to
const ASKED = { calling: ' (invited)', ringing: ' (invited)' };

export class Meet {
	#calls = new Map();
	#lines = new Map(); // url: what is shown of it, which stays while one writes in it
	#in = new Map(); // url: one's participant, and who else is there
	#asked = new Set(); // whereto somebody has invited one
	#quiet = () => {};

	constructor(phone) {
		this.phone = phone;
		this.list = el('ul', { className: 'list' });
		this.none = el('p', { className: 'empty' }, 'No meetings.');
		this.said = el('p', { className: 'said', role: 'status' });
		this.kept = `${phone.api.name}.meet`;
		const at = field('at', 'When it starts; empty: now', { type: 'datetime-local', max: '9999-12-31T23:59' });
		this.element = el('section', { role: 'group', 'aria-label': 'Meetings' }, el('h2', {}, 'Meetings'),
			form('Make a meeting', [field('subject', 'About what', { required: true, maxLength: 200 }),
				el('label', {}, 'Starts (empty: now) ', at)], 'Make', (put) => this.#make(put)),
			el('p', { className: 'quiet' }, 'Here you see who is there. A meeting has no sound and picture yet: call one of them for that.'),
			this.said, this.list, this.none);
	}

	start() {
		const kept = JSON.parse(this.phone.api.store.getItem(this.kept) || '[]');
		this.phone.live.watch('/call', (event, data) => {
			if (event === 'state') {
				const now = new Set(data.map((one) => one.url));
				for (const url of this.#calls.keys()) if (!now.has(url)) this.#over(url);
				for (const one of data) this.#put(one);
				// A reload: one is there still, as long as one looks.
				for (const [url, me] of kept.splice(0)) {
					if (now.has(url)) this.#follow(url, me);
					else this.#tell('The meeting that you were in has ended.');
				}
				this.#keep();
			} else if (event === 'put') this.#put(data);
			else if (event === 'remove') this.#over(data.url);
			this.#draw();
		});
	}

	#put(one) {
		if (one.state === 'ended') return this.#over(one.url);
		const isDue = one.state === 'active' && this.#calls.get(one.url)?.state === 'scheduled';
		this.#calls.set(one.url, one);
		if (isDue && !this.#in.has(one.url) && (one.owner === this.phone.email || this.#asked.has(one.url))) {
			this.#tell(`The meeting “${one.subject}” begins now.`);
			this.#ring();
		}
	}

	#over(url) {
		const one = this.#calls.get(url);
		this.#calls.delete(url);
		this.#asked.delete(url);
		if (one && this.#out(url)) this.#tell(`The meeting “${one.subject}” has ended.`);
	}

	/** Said in the view, and counted at its tab where that is not open. */
	#tell(text) {
		this.said.textContent = text;
		if (!this.phone.isShown('meet')) this.phone.badge('meet', 1);
	}

	#ring() {
		this.#quiet();
		const stop = ring(true);
		const timer = setTimeout(stop, RING_MS);
		this.#quiet = () => {
			clearTimeout(timer);
			stop();
		};
	}

	seen() {
		this.phone.badge('meet', 0);
	}

	#make({ subject, at }) {
		return this.phone.attempt(async () => {
			if (!subject.trim()) throw new Error('Say what the meeting is about.');
			const starts = at && new Date(at);
			if (starts && starts < Date.now() - MINUTE_MS) throw new Error('That time has gone by. Choose a later one, or none for a meeting now.');
			await this.phone.api.request('POST', '/call', { subject: subject.trim(), ...(starts ? { starts_at: starts.toISOString() } : {}) });
			this.said.textContent = '';
		});
	}

	#draw() {
		const shown = [...this.#calls.values()].filter((one) => one.subject);
		const urls = new Set(shown.map((one) => one.url));
		for (const [url, { item }] of this.#lines) {
			if (urls.has(url)) continue;
			item.remove();
			this.#lines.delete(url);
		}
		for (const one of shown) this.#line(one);
		this.none.hidden = shown.length > 0;
	}

	#line(one) {
		const me = this.#in.get(one.url);
		if (!this.#lines.has(one.url)) this.#lines.set(one.url, this.#made(one.url));
		const line = this.#lines.get(one.url);
		line.subject.textContent = one.subject;
		line.about.textContent = one.state === 'scheduled' ? `starts ${when(one.starts_at)} · by ${short(one.owner)}`
			: `now · by ${short(one.owner)} · ${one.participants || 'nobody'} there`;
		line.roster.hidden = !me;
		line.who.replaceChildren(...(me?.children || []).filter((child) => child.state !== 'ended').map((child) =>
			el('li', {}, short(child.email), ASKED[child.state] || '')));
		const is = me ? 'in' : one.state;
		if (line.is === is) return;
		line.is = is;
		const had = line.acts.contains(document.activeElement);
		line.acts.replaceChildren(...[
			me ? button('Leave', () => this.leave(one.url)) : is === 'active' && button('Join', () => this.join(one.url), { className: 'go' }),
			one.owner === this.phone.email && button(is === 'scheduled' ? 'Cancel' : 'End', () => this.#end(one.url)),
		].filter(Boolean));
		if (had) line.acts.firstChild?.focus();
	}

	#made(url) {
		const [subject, about, who, acts] = [el('span'), el('small'), el('ul', { 'aria-label': 'Who is there' }), el('span', { className: 'acts' })];
		const invite = form('Invite', [field('email', 'Invite (email)', { type: 'email', required: true })], 'Invite', ({ email }) => this.#ask(url, email));
		const roster = el('div', { className: 'roster' }, who, invite);
		const item = el('li', {}, el('span', { className: 'who' }, subject, about), acts, roster);
		this.list.append(item);
		return { item, subject, about, who, acts, roster };
	}

	#ask(url, email) {
		return this.phone.attempt(async () => {
			const isThere = this.#in.get(url)?.children.some((child) => child.state === 'joined' && child.email.toLowerCase() === email.toLowerCase());
			if (isThere) throw new Error(`${short(email)} is there already.`);
			const { status } = await this.phone.api.send(email, { command: 'invite', meeting: this.#calls.get(url)?.subject, url });
			this.said.textContent = status === 'stored' ? `${short(email)} is not here: the invitation waits for them.` : `${short(email)} is invited.`;
		});
	}

	#end(url) {
		return this.phone.attempt(() => this.phone.api.request('DELETE', url));
	}

	join(url) {
		return this.phone.attempt(async () => {
			this.#quiet();
			const joined = await this.phone.api.request('POST', url, { url: '/login/me', lifetime: 'stream' });
			this.said.textContent = '';
			this.#follow(url, joined.url);
			this.phone.show('meet');
			this.#draw();
		});
	}

	#follow(url, me) {
		const there = { url: me, children: [] };
		this.#in.set(url, there);
		this.#keep();
		const out = (text) => {
			if (this.#in.get(url) === there && this.#out(url)) this.#tell(text);
			this.#draw();
		};
		const name = () => `meeting “${this.#calls.get(url)?.subject || ''}”`;
		this.phone.live.watch(url, (event, data) => {
			if (this.#in.get(url) !== there) return;
			if (event === 'gone') return out(`The ${name()} has ended.`);
			if (event !== 'state' && event !== 'change') return;
			there.children = data.children;
			// Another page of the account has left, or nobody has looked for too long. That it is over, the list says.
			const isIn = data.children.some((child) => child.url === me && child.state === 'joined');
			if (!isIn && data.state !== 'ended') return out(`You are no longer in the ${name()}.`);
			this.#draw();
		}, () => out(`The ${name()} has ended.`));
	}

	#out(url) {
		if (!this.#in.delete(url)) return false;
		this.phone.live.forget(url);
		this.#keep();
		return true;
	}

	#keep() {
		this.phone.api.store.setItem(this.kept, JSON.stringify([...this.#in].map(([url, { url: me }]) => [url, me])));
	}

	leave(url) {
		return this.phone.attempt(async () => {
			const { url: me } = this.#in.get(url);
			this.#out(url);
			this.#draw();
			await this.phone.api.request('DELETE', me).catch((error) => {
				if (error.status !== 404) throw error;
			});
		});
	}

	/** Somebody asks one to come. */
	asked({ from, json }) {
		this.#asked.add(json.url);
		this.#tell(`${short(from)} invites you to the meeting “${json.meeting}”.`);
		this.phone.chat.note(from, `Invites you to the meeting “${json.meeting}”.`, button('Join', () => this.join(json.url)));
		this.phone.people.unread(from, 1);
	}

	close() {
		this.#quiet();
	}
}
