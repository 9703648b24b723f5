// Connect a phone: a credential, shown once, as text to paste.
import { basic } from './restsip.js';
import { el, button, form, field, when } from './dom.js';

export class Device {
	constructor(phone) {
		this.phone = phone;
		this.list = el('ul', { className: 'list' });
		this.shown = el('div', { role: 'status' });
		this.element = el('section', { role: 'group', 'aria-label': 'Phones' }, el('h2', {}, 'Connect a phone'),
			el('p', {}, 'A SIP phone, or a program such as Linphone or baresip, gets a password of its own. Yours makes it.'),
			form('Connect a phone', [field('label', 'Which phone', { required: true }),
				field('password', 'Your password', { type: 'password', required: true, autocomplete: 'current-password' })], 'Connect', (put) => this.#make(put)),
			this.shown, this.list);
	}

	show() {
		return this.phone.attempt(async () => {
			const all = await this.phone.api.request('GET', '/user/me/credential');
			this.list.replaceChildren(...all.map((one) => el('li', {}, el('span', { className: 'who' }, one.label || one.username,
				el('small', {}, one.used_at ? `Last seen ${when(one.used_at)}` : 'Not used yet')),
			button('Remove', () => this.phone.attempt(async () => {
				await this.phone.api.request('DELETE', one.url);
				await this.show();
			}), { title: 'Its registrations end at once' }))));
		});
	}

	#make({ label, password }) {
		return this.phone.attempt(async () => {
			const { api } = this.phone;
			const made = await api.request('POST', '/user/me/credential', { label }, { headers: { Authorization: basic(api.email, password) } });
			const { linphone } = made;
			const text = [`User name  ${made.username}`, `Password   ${made.password}`, `Domain     ${made.realm}`,
				`Proxy      ${linphone?.proxy || ''}`, '', 'baresip, a line of its accounts:', made.baresip].join('\n');
			this.shown.replaceChildren(el('p', {}, 'This is shown once:'), el('pre', { tabIndex: 0 }, text),
				button('Copy', () => navigator.clipboard.writeText(text)), button('I have it', () => this.shown.replaceChildren()));
			await this.show();
		});
	}
}
