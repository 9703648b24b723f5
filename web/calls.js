// The call, as a bar over everything: ringing, talking, and why it ended.
import { Call } from './restsip.js';
import { el, button, form, field, span, short, why, problem, isOfMedia } from './dom.js';
import { ring } from './ring.js';

const KEYS = [...'123456789*0#'];
const TOLD = { new: 'Getting your microphone…', ringing: 'Calling', incoming: 'is calling you' };

export class Calls {
	#call = null;
	#since = 0;
	#quiet = () => {};
	#trying = null;
	#answered = null;

	constructor(phone) {
		this.phone = phone;
		this.text = el('span', { className: 'what', role: 'status' });
		this.clock = el('span', { className: 'clock' });
		this.acts = el('span', { className: 'acts' });
		this.audio = el('audio', { autoplay: true });
		this.video = el('video', { autoplay: true, playsInline: true, muted: true, hidden: true, 'aria-label': 'Their picture' });
		this.self = el('video', { autoplay: true, playsInline: true, muted: true, hidden: true, className: 'self', 'aria-label': 'Your picture' });
		this.keys = el('div', { className: 'keys', hidden: true, role: 'group', 'aria-label': 'Keypad' },
			...KEYS.map((k) => button(k, () => phone.attempt(() => this.#call.dtmf(k)), { className: 'key' })));
		this.hand = form('Transfer', [field('to', 'To whom (email)', { type: 'email', required: true })], 'Hand on',
			({ to }) => phone.attempt(() => this.#call.transfer(to)), { hidden: true });
		this.element = el('section', { role: 'group', className: 'bar', hidden: true, 'aria-label': 'Call' },
			el('div', { className: 'row' }, this.text, this.clock, this.acts), this.keys, this.hand,
			el('div', { className: 'films' }, this.video, this.self), this.audio);
		this.timer = setInterval(() => this.#tick(), 1000);
	}

	isBusy() {
		return Boolean(this.#trying) || (Boolean(this.#call) && this.#call.state !== 'ended');
	}

	async call(to, video, media = { audio: true, video }) {
		if (this.isBusy()) throw new Error('Hang up first: one call at a time.');
		const trying = {};
		this.#trying = trying;
		this.#bar(TOLD.new, button('Cancel', () => {
			this.#trying = null;
			this.#clear();
		}));
		try {
			const call = await this.phone.api.call(to, media);
			if (this.#trying !== trying) return await call.hangUp();
			this.#trying = null;
			this.#follow(call, to);
		} catch (error) {
			if (this.#trying !== trying) return;
			this.#trying = null;
			this.#fail(error, () => this.call(to, false, null));
		}
	}

	/** Somebody calls. */
	async take(message) {
		if (this.isBusy() && this.#call?.url === message.json.url) return;
		const call = this.phone.api.incoming(message);
		if (!call) return;
		if (this.isBusy()) {
			await call.reject('busy');
			this.phone.chat.note(message.from, 'Called while you were in a call.');
			return;
		}
		this.phone.people.add(message.from);
		this.#follow(call, message.from);
	}

	/** It rings here no longer. */
	withdrawn({ from, json: { url, reason } }) {
		// Who has answered here reads that too, maybe before the answer to that: it decides.
		if (reason === 'answered-elsewhere' && this.#answered?.url === url) return;
		const cause = { 'no-answer': 'no-answer', declined: 'declined', 'answered-elsewhere': 'elsewhere' }[reason] || 'cancelled';
		if (this.#call?.url === url && this.#call.state === 'incoming') this.#call.close({ cause, by: cause === 'cancelled' ? from : undefined });
	}

	#follow(call, peer) {
		this.#call = call;
		this.isCalled = call.state === 'incoming';
		this.peer = peer;
		this.#since = 0;
		call.addEventListener('change', () => this.#draw());
		this.#draw();
	}

	async accept(video, media = { audio: true, video }) {
		const call = this.#call;
		this.#answered = call;
		this.#quiet();
		this.#bar(TOLD.new);
		try {
			await call.accept(media);
		} catch (error) {
			this.#answered = null;
			if (/answered-elsewhere$/.test(error.type)) call.close({ cause: 'elsewhere' });
			else if (call.state !== 'ended') this.#fail(error, () => this.accept(false, null), call);
		}
	}

	/** What went wrong, and the one thing to do about it. */
	#fail(error, listen, call) {
		const acts = [isOfMedia(error) && button('Only listen', listen), call ? button('Decline', () => this.hangUp()) : button('Close', () => this.#clear())];
		this.#bar(problem(error), ...acts);
		this.element.classList.add('bad');
	}

	hangUp() {
		return this.phone.attempt(() => this.#call.hangUp());
	}

	#draw() {
		const call = this.#call;
		const { state } = call;
		this.#quiet();
		if (state === 'ended') return this.#over(call);
		this.phone.api.store.setItem(`${this.phone.api.name}.call`, JSON.stringify([call.url, this.peer]));
		const who = short(call.with);
		if (state === 'incoming') {
			this.#quiet = ring(true);
			return this.#bar(`${who} ${TOLD.incoming}`, button('Answer', () => this.accept(false), { className: 'go' }),
				button('With video', () => this.accept(true)), button('Decline', () => this.hangUp(), { className: 'stop' }));
		}
		if (state === 'ringing') {
			this.#quiet = ring(false);
			return this.#bar(`${TOLD.ringing} ${who}…`, button('Hang up', () => this.hangUp(), { className: 'stop' }));
		}
		this.#since ||= Date.now();
		this.#media(call);
		const microphone = call.local?.getAudioTracks()[0];
		const toggle = (text, is, on, more = {}) => button(text, on, { 'aria-pressed': String(is), ...more });
		return this.#bar(call.held ? `${who} has put you on hold` : call.holding ? `${who} is on hold` : `With ${who}`,
			microphone && toggle('Mute', !microphone.enabled, () => { microphone.enabled = !microphone.enabled; this.#draw(); }),
			toggle('Hold', call.holding, () => this.phone.attempt(() => call.hold(!call.holding))),
			toggle('Keypad', !this.keys.hidden, () => { this.keys.hidden = !this.keys.hidden; this.#draw(); }),
			toggle('Transfer', !this.hand.hidden, () => { this.hand.hidden = !this.hand.hidden; this.#draw(); }),
			button('Ladder', () => this.phone.drawer.trace(`${call.url}/trace`)),
			button('Hang up', () => this.hangUp(), { className: 'stop' }));
	}

	#media(call) {
		if (this.audio.srcObject !== call.remote) this.audio.srcObject = call.remote;
		const film = call.remote.getVideoTracks().length > 0;
		this.video.hidden = !film;
		if (film && this.video.srcObject !== call.remote) this.video.srcObject = call.remote;
		const own = call.local?.getVideoTracks().length > 0;
		this.self.hidden = !own;
		if (own && this.self.srcObject !== call.local) this.self.srcObject = call.local;
	}

	#over(call) {
		this.phone.api.store.removeItem(`${this.phone.api.name}.call`);
		this.#clear();
		const text = why(call.ended, this.phone.email, this.isCalled);
		this.phone.chat.note(call.with, this.#since ? `Call, ${span((Date.now() - this.#since) / 1000)}. ${text}.` : `${text}.`);
		const again = !this.#since && call.ended.by !== this.phone.email;
		this.#bar(`${short(call.with)}: ${text}.`, again && button('Leave a message', () => { this.#clear(); this.phone.people.pick(call.with); this.phone.mail.record(call.with); }),
			button('Close', () => this.#clear()));
		this.#call = null;
	}

	#clear() {
		this.#quiet();
		for (const one of [this.audio, this.video, this.self]) one.srcObject = null;
		for (const one of [this.video, this.self, this.keys, this.hand, this.element]) one.hidden = true;
		this.clock.textContent = '';
	}

	#bar(text, ...acts) {
		const at = [...this.acts.children].indexOf(document.activeElement);
		this.element.classList.remove('bad');
		this.element.hidden = false;
		if (this.text.textContent !== text) this.text.textContent = text;
		this.acts.replaceChildren(...acts.filter(Boolean));
		this.acts.children[at]?.focus();
	}

	#tick() {
		if (this.#call?.state === 'up' && this.#since) this.clock.textContent = span((Date.now() - this.#since) / 1000);
	}

	/** A reload in the middle of a call: it is still there, or has ended. */
	async find() {
		const kept = this.phone.api.store.getItem(`${this.phone.api.name}.call`);
		if (!kept) return;
		const [url, peer] = JSON.parse(kept);
		this.phone.api.store.removeItem(`${this.phone.api.name}.call`);
		const doc = await this.phone.api.request('GET', url).catch(() => null);
		const mine = doc?.children.find((child) => child.email === this.phone.email && child.state === 'joined');
		this.phone.people.pick(peer);
		if (!mine || doc.state === 'ended') {
			this.#bar(`Your call with ${short(peer)} has ended: ${why(doc?.ended || { cause: 'hangup' }, this.phone.email)}.`, button('Close', () => this.#clear()));
			return;
		}
		const back = async (media) => {
			const call = new Call(this.phone.api, peer);
			call.me = mine.url;
			this.#bar(TOLD.new);
			try {
				const session = await call.open(media);
				call.session = doc.children.find((child) => child !== mine && child.session)?.session;
				await this.phone.api.request('PUT', mine.url, { session });
				this.#follow(call.follow({ url }, 'ringing'), peer);
			} catch (error) {
				this.#fail(error, () => back(null));
			}
		};
		this.#bar(`You are still in a call with ${short(peer)}.`, button('Go on', () => back({ audio: true }), { className: 'go' }),
			button('Hang up', () => this.phone.attempt(async () => {
				this.#clear();
				await this.phone.api.request('DELETE', mine.url);
			}), { className: 'stop' }));
	}

	close() {
		clearInterval(this.timer);
		this.#quiet();
		this.#call?.close();
	}
}
